//! Whose code a frame is, and how its place is written so that a person can read it.

use crate::profile::Frame;

use super::plain::{cut_front, printable, shorten, width};

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Owner {
    /// The program's own.
    Own,
    /// An installed package.
    Library,
    /// The interpreter and its standard library.
    Python,
}

impl Owner {
    /// All owners.
    pub const ALL: [Self; 3] = [Self::Own, Self::Library, Self::Python];

    /// The stable name, as it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Library => "library",
            Self::Python => "python",
        }
    }

    /// What a person reads in a legend.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Own => "own code",
            Self::Library => "libraries",
            Self::Python => "interpreter",
        }
    }

    /// Tells it from the file that the code object names.
    pub fn of(frame: &Frame) -> Self {
        let file = frame.file.as_str();
        if file.is_empty() || file.starts_with("<frozen ") {
            Self::Python
        } else if after_packages(file).is_some() {
            Self::Library
        } else if after_standard_library(file).is_some() {
            Self::Python
        } else if file.starts_with('<') && !TYPED_IN.contains(&file) {
            // Code that a library made up: `<attrs generated init app.User>`.
            Self::Library
        } else {
            Self::Own
        }
    }
}

/// What CPython calls code that did not come from a file but from the user.
const TYPED_IN: [&str; 3] = ["<string>", "<stdin>", "<console>"];

/// What stands behind the folder of installed packages.
fn after_packages(file: &str) -> Option<&str> {
    ["/site-packages/", "/dist-packages/"]
        .into_iter()
        .filter_map(|folder| Some(&file[file.rfind(folder)? + folder.len()..]))
        .min_by_key(|rest| rest.len())
}

/// What stands behind the folder, or the archive, of the standard library.
fn after_standard_library(file: &str) -> Option<&str> {
    ["/lib/python3", "/lib64/python3"]
        .into_iter()
        .find_map(|folder| {
            let (_, rest) = file.split_once(folder)?;
            let rest =
                rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == 't');
            rest.strip_prefix("zip").unwrap_or(rest).strip_prefix('/')
        })
}

/// Writes places for a person: files of the program relative to the folder that they share,
/// files of packages and of the standard library without the folder these live in.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// What own files begin with and what is left out of them; ends in a slash if not empty.
    root: String,
}

impl Places {
    /// Finds out what the own files among these frames have in common.
    pub fn of<'a, I: IntoIterator<Item = &'a Frame>>(frames: I) -> Self {
        let mut common: Option<&str> = None;
        for frame in frames {
            if frame.file.starts_with('/') && Owner::of(frame) == Owner::Own {
                let folder = folder_of(&frame.file);
                common = Some(common.map_or(folder, |common| common_folder(common, folder)));
            }
        }
        // The last folder that is common stays: `app/views.py` says more than `views.py`.
        let root = common.map_or("", |common| folder_of(common.trim_end_matches('/')));
        Self {
            // Without its first slash a path would pass for a relative one.
            root: if root == "/" {
                String::new()
            } else {
                root.to_owned()
            },
        }
    }

    /// The readable tail of a frame's file.
    pub fn file(&self, frame: &Frame) -> String {
        let file = frame.file.as_str();
        let tail = match Owner::of(frame) {
            Owner::Own => file.strip_prefix(&self.root).unwrap_or(file),
            Owner::Library => after_packages(file).unwrap_or(file),
            Owner::Python => after_standard_library(file).unwrap_or(file),
        };
        match tail.strip_prefix("<frozen ") {
            Some(module) => printable(&format!("<{module}")),
            None => printable(tail),
        }
    }

    /// `function (file:line)`; the file and the line are left out where there are none.
    pub fn label(&self, frame: &Frame) -> String {
        let (function, place) = self.parts(frame);
        function + &place
    }

    /// The label, in at most `room` columns: the line always stays.
    pub fn label_within(&self, frame: &Frame, room: usize) -> String {
        let (function, place) = self.parts(frame);
        let (long, wide) = (width(&function), width(&place));
        if long + wide <= room {
            return function + &place;
        }
        // Both give way, but the function no more than to a third while the file is the longer.
        let for_function = long.min((room / 3).max(room.saturating_sub(wide)));
        shorten(&function, for_function) + &shorten_place(&place, room - for_function)
    }

    /// The function, and ` (file:line)` or nothing.
    fn parts(&self, frame: &Frame) -> (String, String) {
        let function = match printable(frame.function.trim()) {
            name if name.is_empty() => "?".to_owned(),
            name => name,
        };
        let place = match (frame.is_pseudo(), frame.line) {
            (true, _) => String::new(),
            (false, 0) => format!(" ({})", self.file(frame)),
            (false, line) => format!(" ({}:{line})", self.file(frame)),
        };
        (function, place)
    }
}

/// Cuts the outer folders of ` (file:line)`: the file and the line tell more.
fn shorten_place(place: &str, room: usize) -> String {
    const OPENING: &str = " (…";
    match room.checked_sub(width(OPENING)) {
        _ if width(place) <= room => place.to_owned(),
        Some(kept) => OPENING.to_owned() + &cut_front(place, kept),
        None => String::new(),
    }
}

/// The folder of a file, with its slash.
fn folder_of(file: &str) -> &str {
    file.rfind('/').map_or("", |slash| &file[..=slash])
}

/// The folder that two folders share, with its slash.
fn common_folder<'a>(one: &'a str, other: &str) -> &'a str {
    let shared = one
        .split_inclusive('/')
        .zip(other.split_inclusive('/'))
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len())
        .sum();
    &one[..shared]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(file: &str) -> Frame {
        Frame {
            function: "f".to_owned(),
            file: file.to_owned(),
            line: 3,
        }
    }

    #[test]
    fn a_file_tells_whose_code_it_is() {
        let cases = [
            ("/srv/app/leak.py", Owner::Own),
            ("leak.py", Owner::Own),
            ("<string>", Owner::Own),
            ("/srv/lib/python_tools/x.py", Owner::Own),
            (
                "/v/lib/python3.12/site-packages/flask/app.py",
                Owner::Library,
            ),
            (
                "/usr/lib/python3/dist-packages/yaml/reader.py",
                Owner::Library,
            ),
            ("<attrs generated init app.User>", Owner::Library),
            ("/usr/lib/python3.11/json/decoder.py", Owner::Python),
            ("/opt/py/lib/python3.13t/json/decoder.py", Owner::Python),
            ("/usr/lib/python311.zip/json/decoder.py", Owner::Python),
            ("<frozen importlib._bootstrap>", Owner::Python),
            ("", Owner::Python),
        ];
        for (file, owner) in cases {
            assert_eq!(Owner::of(&frame(file)), owner, "{file}");
        }
    }

    #[test]
    fn what_all_files_share_is_left_out() {
        let frames = [
            frame("/srv/app/views/user.py"),
            frame("/srv/app/leak.py"),
            frame("/v/lib/python3.12/site-packages/flask/app.py"),
            frame("/usr/lib/python3.11/json/decoder.py"),
        ];
        let places = Places::of(&frames);
        let files: Vec<String> = frames.iter().map(|frame| places.file(frame)).collect();
        assert_eq!(
            files,
            [
                "app/views/user.py",
                "app/leak.py",
                "flask/app.py",
                "json/decoder.py"
            ]
        );
    }

    #[test]
    fn files_that_share_nothing_are_written_in_full() {
        let frames = [frame("/srv/a.py"), frame("/home/me/b.py")];
        let places = Places::of(&frames);
        assert_eq!(places.label(&frames[0]), "f (/srv/a.py:3)");
        assert_eq!(places.label(&frames[1]), "f (/home/me/b.py:3)");
        assert_eq!(
            Places::of(&frames[..1]).label(&frames[0]),
            "f (/srv/a.py:3)"
        );
    }

    #[test]
    fn the_line_stays_when_a_label_is_too_wide() {
        let long = Frame {
            function: "Application.<locals>.handle_request_of_the_user".to_owned(),
            file: "/srv/shop/some/very/deep/folder/of/the/program/views.py".to_owned(),
            line: 1234,
        };
        let label = Places::default().label_within(&long, 40);
        assert_eq!(width(&label), 40, "{label}");
        assert!(
            label.ends_with("_user (…e/program/views.py:1234)"),
            "{label}"
        );
    }

    #[test]
    fn a_frame_without_a_file_is_its_name() {
        let places = Places::default();
        assert_eq!(places.label(&Frame::pseudo("<native>")), "<native>");
        assert_eq!(places.label(&Frame::pseudo(" ")), "?");
        let frozen = frame("<frozen importlib._bootstrap>");
        assert_eq!(places.label(&frozen), "f (<importlib._bootstrap>:3)");
    }

    proptest! {
        #[test]
        fn a_label_keeps_to_its_room(
            function in any::<String>(),
            file in any::<String>(),
            line in any::<u32>(),
            room in 0_usize..100,
        ) {
            let frame = Frame { function, file, line };
            let places = Places::of([&frame]);
            prop_assert!(width(&places.label_within(&frame, room)) <= room);
        }
    }
}
