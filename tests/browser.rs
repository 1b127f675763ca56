//! Pages and drawings in a browser, made from recordings whose names are hostile.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use profiler::{
    profile::{
        Census, Change, Counters, Facts, Frame, Interval, Lifecycle, LifecycleKind, Metered,
        ProcessKey, ProcessRecord, Remains, SocketCensus, StackId, StackTable,
    },
    recording::Writer,
    units::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{browser::Browser, heaptide::heaptide};

const SECONDS: u64 = 20;
const ESCAPE: &str = "\u{e00c}";
const ENTER: &str = "\u{e007}";
const UP: &str = "\u{e013}";

/// Names that would do harm if they were taken for more than text.
fn hostile() -> Vec<String> {
    let names = [
        "<script>window.harmed=1</script>",
        "</script><script>window.harmed=1</script>",
        "\"><img src=x onerror=window.harmed=1>",
        "' onmouseover='window.harmed=1",
        "]]><svg onload=window.harmed=1>",
        "{{7*7}}${7*7}<!--",
        "\u{202e}gnp.elif\u{2028}\u{2066}",
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
        "a;b 12\n#\u{0}\u{7}",
    ];
    let mut names: Vec<String> = names.map(ToOwned::to_owned).into();
    names.push("long_".repeat(820));
    names
}

/// Two processes; `scale` says how much is kept. No traffic is counted.
fn record(folder: &Path, name: &str, scale: u64) -> PathBuf {
    record_serving(folder, name, scale, None)
}

/// The same; if it is counted, so many connections come to the first process in a second.
fn record_serving(folder: &Path, name: &str, scale: u64, accepts: Option<u64>) -> PathBuf {
    let path = folder.join(name);
    let mut table = StackTable::default();
    let mut stack = |function: &str, file: &str, line: u32| {
        let main = table.intern_frame(&frame("<module>", "/srv/app/main.py", 3));
        let own = table.intern_frame(&frame(function, file, line));
        table.intern([main, own])
    };
    let keeps = stack("remember", "/srv/app/cache.py", 7);
    let churns = stack("render", "/srv/app/views.py", 9);
    let harmful: Vec<StackId> = (hostile().iter())
        .map(|name| stack(name, &format!("/srv/app/{name}.py"), 5))
        .collect();
    let processes = [process(0, 4711, 1), process(1, 4712, 4711)];
    let mut facts = Facts {
        heaptide: "0.1.0".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        target: format!("python {} (pid 4711)", hostile()[0]),
        budget_percent: Some(2.0),
        page_fault_period: 61,
        page_size: 4096,
        notes: vec![format!("a note of {}", hostile()[1])],
        ..Facts::default()
    };
    let mut writer = Writer::create(&path, true, &facts).unwrap();
    for second in 0..SECONDS {
        let mut changes = vec![
            change(0, keeps, scale * 1_000_000, 0),
            change(0, churns, 5_000_000, 5_000_000),
            change(1, keeps, 100_000, 0),
        ];
        changes.extend(harmful.iter().map(|stack| change(0, *stack, 20_000, 0)));
        let interval = interval(second, changes, scale, accepts);
        writer.append(&interval, &processes, &table).unwrap();
    }
    facts.duration = Duration::from_secs(SECONDS);
    facts.complete = true;
    writer.finish(&facts, &Remains::default()).unwrap();
    path
}

fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        function: function.to_owned(),
        file: file.to_owned(),
        line,
    }
}

fn process(number: usize, pid: u32, parent: u32) -> ProcessRecord {
    ProcessRecord {
        pid: Pid(pid),
        inner_pid: None,
        parent: Pid(parent),
        command: format!("python {}", hostile()[number]),
        python: Some("3.12.1".to_owned()),
        started: Duration::from_secs(5 * number as u64),
        ended: None,
    }
}

fn change(process: u32, stack: StackId, bytes_in: u64, bytes_out: u64) -> Change {
    Change {
        process: ProcessKey(process),
        stack,
        meter: Metered::Block,
        counters: Counters {
            bytes_in,
            count_in: bytes_in / 1000,
            bytes_out,
            count_out: bytes_out / 1000,
            samples: bytes_in / 1000,
        },
    }
}

fn interval(second: u64, changes: Vec<Change>, scale: u64, accepts: Option<u64>) -> Interval {
    let end = Duration::from_secs(second + 1);
    let census = |process: u32| Census {
        process: ProcessKey(process),
        time: end,
        rss: 50_000_000 + (second + 1) * (1_000_000 * scale + 300_000),
        cpu: Duration::from_secs(100) + end / 2,
        blocks_observed: end,
        objects_observed: end,
        sockets: SocketCensus {
            listeners: accepts.map(|_| u64::from(process == 0)),
            accepts: accepts.map(|each| if process == 0 { (second + 1) * each } else { 0 }),
            ..SocketCensus::default()
        },
        ..Census::default()
    };
    let starts = (second == 5).then_some(Lifecycle {
        process: ProcessKey(1),
        time: Duration::from_secs(5),
        kind: LifecycleKind::Forked,
    });
    let count = if second < 5 { 1 } else { 2 };
    Interval {
        start: Duration::from_secs(second),
        end,
        changes,
        censuses: (0..count).map(census).collect(),
        lifecycles: starts.into_iter().collect(),
        ..Interval::default()
    }
}

/// Writes a report with heaptide.
#[track_caller]
fn write(arguments: &[&str], file: &Path) {
    let file = file.display().to_string();
    let arguments: Vec<&str> = arguments.iter().copied().chain(["-o", &file]).collect();
    let output = heaptide(&arguments);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
}

/// The page of a recording without traffic, opened.
fn report() -> Option<(Browser, TempDir)> {
    report_serving(None)
}

/// The same of one with so many connections a second.
fn report_serving(accepts: Option<u64>) -> Option<(Browser, TempDir)> {
    let browser = Browser::start()?;
    let folder = TempDir::new().unwrap();
    let recording = record_serving(folder.path(), "a.heaptide", 1, accepts);
    let recording = recording.display().to_string();
    let page = folder.path().join("a.html");
    write(&["report", &recording, "--format", "html"], &page);
    browser.open(&page);
    browser.until("document.querySelector('#lines-table[data-ready]')");
    Some((browser, folder))
}

/// Checks that no name did anything, in the page and in what it frames.
#[track_caller]
fn expect_no_harm(browser: &Browser) {
    assert_eq!(browser.ask("window.harmed ?? null"), Value::Null);
    assert_eq!(browser.ask("document.images.length"), 0);
    browser.expect_peace();
}

/// The names of the lines in a table, from the top.
fn lines(browser: &Browser, table: &str) -> Vec<String> {
    let names = format!(
        "[...document.querySelectorAll('{table} tbody tr:not(.detail) .function')]
            .map(it => it.textContent)"
    );
    serde_json::from_value(browser.ask(&names)).unwrap()
}

#[test]
fn a_report_tells_first_what_to_act_on() {
    let Some((browser, _folder)) = report() else {
        return;
    };
    let first = browser.ask("document.querySelector('main > section').innerText");
    let first = first.as_str().unwrap();
    let told = first.trim_start_matches("Verdict").trim_start();
    assert!(told.starts_with("retained-growth"), "{first}");
    assert!(
        first.contains("remember (") && first.contains("Next steps"),
        "{first}"
    );
    let text = browser.ask("document.body.innerText");
    let text = text.as_str().unwrap();
    assert!(text.contains("<script>window.harmed=1</script>"), "{text}");
    let charts = "[...document.querySelectorAll('#course svg')].map(it => it.clientWidth > 0)";
    assert_eq!(
        browser.ask(charts),
        serde_json::json!([true, false, true, false])
    );
    let cards = browser.ask("document.querySelectorAll('.card svg').length");
    assert_eq!(
        cards, 4,
        "two processes, each with its size and its processor time"
    );
    assert!(text.contains("no traffic was counted, so it stands for it"));
    expect_no_harm(&browser);
}

#[test]
fn traffic_that_was_counted_is_drawn_below_memory() {
    let Some((browser, _folder)) = report_serving(Some(30)) else {
        return;
    };
    let text = browser.ask("document.querySelector('#course').innerText");
    let text = text.as_str().unwrap();
    assert!(
        text.contains("Traffic: connections accepted per second"),
        "{text}"
    );
    assert!(text.contains(&format!("{}", SECONDS * 30)), "{text}");
    let charts = "[...document.querySelectorAll('#course svg')].filter(it => it.clientWidth > 0)
        .map(it => ({top: it.getBoundingClientRect().top, text: it.textContent}))";
    let charts = browser.ask(charts);
    let [memory, traffic] = charts.as_array().unwrap().as_slice() else {
        panic!("{charts:#}");
    };
    assert!(
        memory["top"].as_f64() < traffic["top"].as_f64(),
        "{charts:#}"
    );
    assert!(
        memory["text"].as_str().unwrap().contains("MiB"),
        "{charts:#}"
    );
    // The axis of a steady 30 a second.
    let axis = traffic["text"].as_str().unwrap();
    let has = |mark: &str| axis.contains(mark);
    assert!(has("20/s") && !has("40/s") && !has("MiB"), "{charts:#}");
    let cards = "[...document.querySelectorAll('.card')].map(it =>
        [it.innerText.includes('connections accepted per second'),
         it.innerText.includes('nothing came to this process itself')])";
    assert_eq!(
        browser.ask(cards),
        serde_json::json!([[true, false], [false, true]])
    );
    expect_no_harm(&browser);
}

#[test]
fn lines_are_sorted_filtered_and_opened() {
    let Some((browser, _folder)) = report() else {
        return;
    };
    let table = "#lines-table";
    let all = lines(&browser, table);
    assert_eq!(all.len(), 2 + hostile().len(), "{all:#?}");
    assert_eq!(all[0], "remember");
    let head = |name: &str| format!("//th/button[.='{name}']");
    browser.click(&head("allocated"));
    assert_eq!(lines(&browser, table)[0], "render");
    browser.click(&head("allocated"));
    assert_ne!(lines(&browser, table)[0], "render");
    assert_eq!(
        browser.ask("document.querySelectorAll('th[aria-sort=ascending]').length"),
        1
    );
    browser.click(&head("where"));
    let sorted = lines(&browser, table);
    assert!(
        sorted.iter().position(|it| it == "remember") < sorted.iter().position(|it| it == "render")
    );

    let filter = "#lines-table input[type=search]";
    browser.fill(filter, "cache.py");
    assert_eq!(lines(&browser, table), ["remember"]);
    browser.enter("#lines-table .opener", ENTER);
    browser.until("document.querySelector('#lines-table .stack li')");
    let detail = browser.ask("document.querySelector('#lines-table .detail').innerText");
    let detail = detail.as_str().unwrap();
    assert!(
        detail.contains("<module>") && detail.contains("/srv/app/cache.py:7"),
        "{detail}"
    );
    assert!(detail.contains("4711, 4712"), "{detail}");

    let retained = "document.querySelector('#lines-table tbody td.number').innerText";
    let of_all = browser.ask(retained);
    let second = browser.ask("document.querySelectorAll('#lines-table select')[1].options[2].text");
    browser.choose(
        "#lines-table label:nth-of-type(3) select",
        second.as_str().unwrap(),
    );
    assert_eq!(lines(&browser, table), ["remember"]);
    assert_ne!(browser.ask(retained), of_all);
    assert_eq!(browser.ask(retained), "1.91 MiB");
    browser.fill(filter, "no such line");
    assert_eq!(lines(&browser, table), [""; 0]);
    expect_no_harm(&browser);
}

#[test]
fn the_theme_follows_the_system_and_can_be_chosen() {
    let Some((browser, _folder)) = report() else {
        return;
    };
    let colors = "['body', '.chart text', '.chart [fill=\"#0072B2\"]'].map(it => {
        const style = getComputedStyle(document.querySelector(it));
        return it === 'body' ? style.backgroundColor : style.fill;
    })";
    let looks = ["light", "dark", "of the system"].map(|theme| {
        browser.choose("#theme", theme);
        let colors = browser.ask(colors);
        serde_json::from_value::<Vec<String>>(colors).unwrap()
    });
    for (light, dark) in looks[0].iter().zip(&looks[1]) {
        assert_ne!(light, dark, "{looks:?}");
    }
    assert_eq!(
        looks[2], looks[0],
        "a browser without a screen has a light system"
    );
    expect_no_harm(&browser);
}

#[test]
fn flamegraphs_of_a_page_are_searched_and_zoomed_without_a_clash() {
    let Some((browser, _folder)) = report() else {
        return;
    };
    for metric in ["retained", "allocated", "allocations", "resident", "mapped"] {
        browser.click(&format!("#tab-{metric}"));
        browser.until(&format!(
            "document.querySelector('#flame-frame iframe[title$={metric}]:not([hidden])')"
        ));
    }
    let shown =
        browser.ask("document.querySelectorAll('#flame-frame iframe:not([hidden])').length");
    assert_eq!(shown, 1);

    browser.click("#tab-allocated");
    browser.fill("#flame-search", "render");
    browser.until("document.getElementById('flame-found').textContent.startsWith('Matched: 7')");
    browser.fill("#flame-search", "no such (");
    browser.until("document.getElementById('flame-found').textContent === 'Nothing matches'");
    browser.fill("#flame-search", "remember");
    browser.until("document.getElementById('flame-found').textContent.startsWith('Matched: 1')");

    let is_zoomed = "!document.getElementById('unzoom').classList.contains('hide')";
    let frame = "//*[local-name()='g'][*[local-name()='title'][starts-with(., 'render')]]";
    browser.inside("#flame-frame iframe:not([hidden])", |browser| {
        // A drawing that was hidden gets its width when it is shown.
        browser.until(
            "[...document.querySelectorAll('#frames > g')].some(it =>
                it.textContent.startsWith('render') && it.getBoundingClientRect().width > 20)",
        );
        browser.click(frame);
        assert_eq!(browser.ask(is_zoomed), true);
        browser.enter("body", ESCAPE);
        assert_eq!(browser.ask(is_zoomed), false);
        browser.enter("body", UP);
        browser.enter("body", &(UP.to_owned() + ENTER));
        let selected = "document.querySelector('.selected title').textContent";
        let selected = browser.ask(selected);
        assert!(
            selected.as_str().unwrap().starts_with("<module>"),
            "{selected}"
        );
        assert_eq!(browser.ask("window.harmed ?? null"), Value::Null);
    });
    browser.click("#flame-reset");
    browser.inside("#flame-frame iframe:not([hidden])", |browser| {
        browser.until(&format!("!({is_zoomed})"));
    });
    expect_no_harm(&browser);
}

#[test]
fn a_comparison_shows_verdicts_lines_and_both_flamegraphs() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let [before, after] = [("before", 4), ("after", 1)].map(|(name, scale)| {
        let path = record(folder.path(), &format!("{name}.heaptide"), scale);
        path.display().to_string()
    });
    let page = folder.path().join("diff.html");
    write(&["diff", &before, &after, "--format", "html"], &page);
    browser.open(&page);
    let table = "#changes-table";
    browser.until("document.querySelector('#changes-table[data-ready]')");
    let first = browser.ask("document.querySelector('main > section').innerText");
    let first = first.as_str().unwrap();
    assert!(
        first.contains("improved") && first.contains("less retained"),
        "{first}"
    );
    assert!(first.contains("retained-growth"), "{first}");
    assert_eq!(lines(&browser, table)[0], "remember");
    browser.choose("#changes-table label:nth-of-type(3) select", "improved");
    let improved = lines(&browser, table);
    assert!(improved.iter().all(|it| it == "remember"), "{improved:?}");
    browser.enter("#changes-table .opener", ENTER);
    let detail = browser.ask("document.querySelector('.detail').innerText");
    assert!(detail.as_str().unwrap().contains("at least -"), "{detail}");
    for side in ["before", "after"] {
        browser.click(&format!("#tab-{side}"));
        browser.fill("#flame-search", "remember");
        browser.until("document.getElementById('flame-found').textContent.startsWith('Matched')");
    }
    expect_no_harm(&browser);
}

#[test]
fn flamegraph_drawings_are_searched_and_zoomed() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let recording = record(folder.path(), "a.heaptide", 1).display().to_string();
    let [plain, differential] = ["plain.svg", "differential.svg"].map(|it| folder.path().join(it));
    write(&["flamegraph", &recording], &plain);
    write(
        &["diff", &recording, &recording, "--format", "svg"],
        &differential,
    );
    for drawing in [plain, differential] {
        browser.open(&drawing);
        browser.click("#search");
        browser.answer("remember");
        browser.until("document.getElementById('matched').textContent.startsWith('Matched: ')");
        browser.click("//*[local-name()='g'][*[local-name()='title'][starts-with(., 'remember')]]");
        browser.until("!document.getElementById('unzoom').classList.contains('hide')");
        browser.click("#unzoom");
        browser.until("document.getElementById('unzoom').classList.contains('hide')");
        expect_no_harm(&browser);
    }
}
