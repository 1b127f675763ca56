//! What the drawing library does not do: the legend's colours, and a drawing without frames.

use super::colors::color;
use crate::report::Owner;

/// The sign that is coloured in the legend.
pub(super) const SWATCH: char = '■';

/// Colours the signs of the legend, which the drawing library wrote as plain text, and makes the
/// way to the search visible.
pub(super) fn finished(drawn: Vec<u8>) -> Vec<u8> {
    let text = match String::from_utf8(drawn) {
        Ok(text) => text,
        Err(error) => return error.into_bytes(),
    };
    // Quotes in text from the target are escaped: this can only be the attribute.
    let Some((before, after)) = text.split_once("id=\"subtitle\"") else {
        return text.into_bytes();
    };
    let before = before.replacen("opacity:0.1", "opacity:0.7", 1);
    let end = after.find("</text>").unwrap_or(after.len());
    let (subtitle, frames) = after.split_at(end);
    let subtitle = colored(subtitle);
    [&before, "id=\"subtitle\"", &subtitle, frames]
        .concat()
        .into_bytes()
}

/// Colours the first sign for each owner.
fn colored(subtitle: &str) -> String {
    Owner::ALL
        .into_iter()
        .fold(subtitle.to_owned(), |text, owner| {
            let color = color(owner);
            let plain = format!("{SWATCH} {}", owner.describe());
            let swatch = format!(
                "<tspan fill=\"rgb({},{},{})\">{SWATCH}</tspan> {}",
                color.r,
                color.g,
                color.b,
                owner.describe(),
            );
            text.replacen(&plain, &swatch, 1)
        })
}

/// A drawing that says why it is empty.
pub(super) fn empty(title: &str, subtitle: &str, message: &str) -> Vec<u8> {
    let (title, subtitle) = (escaped(title), colored(&escaped(subtitle)));
    format!(
        "<?xml version=\"1.0\" standalone=\"no\"?>\n\
         <svg version=\"1.1\" width=\"100%\" height=\"160\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-family=\"monospace\" font-size=\"12\" \
         text-anchor=\"middle\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"rgb(255,255,255)\"/>\n\
         <text id=\"title\" x=\"50%\" y=\"24\" font-size=\"17\">{title}</text>\n\
         <text id=\"subtitle\" x=\"50%\" y=\"48\">{subtitle}</text>\n\
         <text id=\"message\" x=\"50%\" y=\"104\" font-size=\"15\">{}</text>\n\
         </svg>\n",
        escaped(message),
    )
    .into_bytes()
}

/// Text as XML writes it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    escaped
}
