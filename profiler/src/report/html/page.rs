//! The frame of a page: its policy, style, scripts and data.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    embed::{digest, packed, script_of},
    flames::Flame,
};

const STYLE: &str = include_str!("style.css");
/// One script, so that a policy names one.
const SCRIPT: &str = concat!(
    include_str!("page.js"),
    include_str!("table.js"),
    include_str!("lines.js"),
    include_str!("flames.js"),
);
/// What is put around a drawing in a frame of its own.
const FLAME_STYLE: &str = include_str!("flame.css");
const FLAME_SCRIPT: &str = include_str!("flame.js");
/// What drawings call when they are there.
const FLAME_HANDLER: &str = "init(evt)";

/// Writes a page with drawings and named pieces of data.
pub(super) fn page(title: &str, body: &Markup, flames: &[Flame], data: &[(&str, &str)]) -> String {
    let written = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(flames));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                @for (name, text) in data {
                    (block(name, text))
                }
                @for flame in flames {
                    (block(&format!("flame-{}", flame.name), &flame.svg))
                }
                script type="text/plain" id="flame-style" { (PreEscaped(FLAME_STYLE)) }
                script type="text/plain" id="flame-script" { (PreEscaped(FLAME_SCRIPT)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    written.into_string() + "\n"
}

/// Data that scripts unpack when they need them.
fn block(name: &str, text: &str) -> Markup {
    html! {
        script type="text/plain" id={"data-" (name)} { (packed(text)) }
    }
}

/// Nothing is requested, and only these scripts run, here and in the frames.
fn policy(flames: &[Flame]) -> String {
    let mut scripts: Vec<String> = (flames.iter())
        .filter_map(|flame| script_of(&flame.svg))
        .chain([SCRIPT.to_owned(), FLAME_SCRIPT.to_owned()])
        .map(|script| digest(&script))
        .collect();
    scripts.sort();
    scripts.dedup();
    let scripts = scripts.join(" ");
    let handler = digest(FLAME_HANDLER);
    format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; \
         style-src 'unsafe-inline'; script-src {scripts} 'unsafe-hashes' {handler}"
    )
}
