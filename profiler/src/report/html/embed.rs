//! Data and scripts in a page: compressed, and named by digests.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::DeflateEncoder};
use sha2::{Digest as _, Sha256};

/// A text, compressed, in characters that mean nothing in HTML.
pub(super) fn packed(text: &str) -> String {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(text.as_bytes())
        .expect("writing to memory does not fail");
    let compressed = encoder.finish().expect("writing to memory does not fail");
    STANDARD.encode(compressed)
}

/// How a policy names a script.
pub(super) fn digest(script: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script)))
}

/// The text of the script in a drawing, as a browser that reads the drawing as HTML sees it.
pub(super) fn script_of(drawing: &str) -> Option<String> {
    let (_, rest) = drawing.split_once("<script")?;
    let (_, rest) = rest.split_once('>')?;
    let (script, _) = rest.split_once("</script>")?;
    Some(script.replace("<![CDATA[", "").replace("]]>", ""))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digests_are_those_that_browsers_compute() {
        // The example of the specification of content security policies.
        let script = "alert('Hello, world.');";
        let expected = "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='";
        assert_eq!(digest(script), expected);
    }

    #[test]
    fn the_script_of_a_drawing_is_without_its_marks() {
        let drawing = "<svg><script type=\"a\"><![CDATA[one]]><![CDATA[ < two]]></script></svg>";
        assert_eq!(script_of(drawing).unwrap(), "one < two");
        assert_eq!(script_of("<svg></svg>"), None);
    }

    proptest! {
        #[test]
        fn what_is_packed_can_be_unpacked(text in any::<String>()) {
            let packed = packed(&text);
            prop_assert!(packed.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)));
            let bytes = STANDARD.decode(packed).unwrap();
            let mut unpacked = String::new();
            flate2::read::DeflateDecoder::new(&bytes[..]).read_to_string(&mut unpacked).unwrap();
            prop_assert_eq!(unpacked, text);
        }
    }
}
