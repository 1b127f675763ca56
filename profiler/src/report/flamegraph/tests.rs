//! Holds flamegraphs against what a browser, and a person in front of it, need.

use profiler_common::loss::Loss;

use super::*;
use crate::report::sample::{MIB, Sample};

fn draw(sample: &Sample, options: &FlamegraphOptions) -> String {
    let svg = flamegraph(
        &sample.recorded,
        &sample.findings,
        &sample.weights(),
        options,
    )
    .unwrap();
    String::from_utf8(svg).unwrap()
}

/// The texts of the frames, as a pointer shows them.
fn frames(svg: &str) -> Vec<&str> {
    let titles = svg.split("<title>").skip(1);
    titles
        .map(|rest| rest.split("</title>").next().unwrap())
        .collect()
}

#[test]
fn frames_are_named_by_function_file_and_line() {
    let svg = draw(&Sample::leak(), &FlamegraphOptions::default());
    let frames = frames(&svg);
    for expected in [
        "all (82,971,504 bytes, 100%)",
        "SessionCache.remember (shop/cache.py:88) (74,448,896 bytes, 89.73%)",
        "Flask.run (flask/app.py:625) (81,922,928 bytes, 98.74%)",
    ] {
        assert!(frames.contains(&expected), "{frames:#?}");
    }
}

#[test]
fn the_heading_tells_what_it_is_and_how_far_to_trust_it() {
    let sample = Sample::leak().loss(Loss::RingFull, 12);
    let svg = draw(&sample, &FlamegraphOptions::default());
    assert!(svg.contains(">python app.py (pid 4711) — retained bytes, 30.0 s<"));
    assert!(svg.contains("total 79.1 MiB · lost events: 12 · cost 0.3% (budget 2%)"));
    let options = FlamegraphOptions {
        metric: Metric::Allocations,
        title: Some("before the <fix>".to_owned()),
        ..FlamegraphOptions::default()
    };
    let svg = draw(&sample, &options);
    assert!(svg.contains(">before the &lt;fix&gt;<"));
    assert!(svg.contains(" allocations, 89.73%)"));
}

#[test]
fn owners_differ_in_colour_and_the_legend_says_how() {
    let svg = draw(&Sample::leak(), &FlamegraphOptions::default());
    for owner in Owner::ALL {
        let color = colors::color(owner);
        let swatch = format!(
            "<tspan fill=\"rgb({},{},{})\">■</tspan> {}",
            color.r,
            color.g,
            color.b,
            owner.describe()
        );
        assert!(svg.contains(&swatch), "{swatch}");
    }
}

#[test]
fn each_scheme_draws_the_same_bytes_each_time() {
    for colors in Colors::ALL {
        for reverse in [false, true] {
            let options = FlamegraphOptions {
                colors,
                reverse,
                ..FlamegraphOptions::default()
            };
            assert_eq!(
                draw(&Sample::leak(), &options),
                draw(&Sample::leak(), &options)
            );
        }
    }
}

#[test]
fn an_icicle_hangs_from_the_top() {
    let options = FlamegraphOptions {
        reverse: true,
        ..FlamegraphOptions::default()
    };
    assert!(draw(&Sample::leak(), &options).contains("var inverted = true"));
}

#[test]
fn an_empty_profile_is_a_drawing_that_says_so() {
    let mut sample = Sample::quiet();
    sample.recorded.facts.target = "</svg><script>\"evil\"</script>\u{0}".to_owned();
    let svg = draw(&sample, &FlamegraphOptions::default());
    assert!(svg.starts_with("<?xml"));
    assert!(svg.ends_with("</svg>\n"));
    assert!(svg.contains("Nothing was retained"));
    assert!(svg.contains("lost events: 0"));
    assert_eq!(svg.matches("<script").count(), 0);
    assert_eq!(svg.matches("</svg>").count(), 1);
}

#[test]
fn hostile_names_stay_names() {
    let long = "x".repeat(4096);
    let names = [
        "<script>alert(1)</script>",
        "\"quoted' & more",
        "one;two;three",
        "line\nbreak\r\n7",
        "\u{202e}turned\u{200f}",
        "]]>",
        "# comment 12",
        "id=\"subtitle\" ■ own code",
        "null\u{0}escape\u{1b}[31m\u{ffff}",
        &long,
    ];
    let mut sample = Sample::quiet();
    for (line, name) in (1..).zip(names) {
        sample = sample
            .site(&[(name, "/srv/a;b\n<c>.py", line)], MIB, MIB)
            .site(&[(name, "", 0)], MIB, MIB);
    }
    let svg = draw(&sample, &FlamegraphOptions::default());
    let frames = frames(&svg);
    assert_eq!(frames.len(), 1 + 2 * names.len(), "{frames:#?}");
    assert_eq!(svg.matches("<script").count(), 1, "the drawing's own");
    assert_eq!(svg.matches("<tspan").count(), 3, "the legend's");
    assert!(
        frames.iter().all(|frame| frame.len() < 1000),
        "long names are cut"
    );
    let acting =
        |c: &char| (c.is_control() && *c != '\n') || "\u{202e}\u{200f}\u{ffff}".contains(*c);
    assert_eq!(frames.concat().chars().find(acting), None);
    assert!(
        svg.contains("one,two,three (/srv/a,b\\n&lt;c&gt;.py:3)"),
        "a semicolon does not split a frame"
    );
}
