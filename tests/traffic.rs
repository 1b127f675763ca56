//! What comes to a program through its sockets is counted as the program itself counts it.

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::id,
};

use serde::Deserialize;

use crate::support::{Ended, Heaptide, Program, heaptide::heaptide, host::python};

#[derive(Debug, Deserialize)]
struct Addresses {
    port: u16,
    local: String,
}

/// What a program counts itself.
#[derive(Debug, Deserialize)]
struct Counts {
    accepts: u64,
    receives: u64,
    bytes: u64,
    messages: u64,
}

/// The parts of a report that are about traffic.
#[derive(Debug, Deserialize)]
struct Said {
    activity: String,
    traffic: Traffic,
    processes: Vec<Process>,
    cgroup: Option<Cgroup>,
}

#[derive(Debug, Deserialize)]
struct Cgroup {
    path: String,
    limit: Option<u64>,
    current: u64,
}

#[derive(Debug, Deserialize)]
struct Traffic {
    signal: String,
    count: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Process {
    series: Series,
}

#[derive(Debug, Deserialize)]
struct Series {
    accepts: Vec<Option<u64>>,
    receives: Vec<Option<u64>>,
    received_bytes: Vec<Option<u64>>,
    messages: Vec<Option<u64>>,
    descriptors: Vec<Option<u64>>,
}

impl Said {
    #[track_caller]
    fn of(ended: &Ended) -> Self {
        let recording = ended.recording.to_str().expect("the path is text");
        let report = heaptide(&["report", recording, "--format", "json"]);
        serde_json::from_str(&report.stdout).unwrap_or_else(|error| panic!("{error}: {report:?}"))
    }

    fn last(&self, of: fn(&Series) -> &Vec<Option<u64>>) -> Option<u64> {
        of(&self.processes[0].series).last().copied().flatten()
    }
}

/// Sends this and waits for the answer.
fn request(stream: &mut (impl Read + Write), bytes: usize) {
    stream.write_all(&vec![b'x'; bytes]).expect("it listens");
    stream.read_exact(&mut [0]).expect("it answers");
}

#[test]
fn connections_and_bytes_are_counted_as_the_program_counts_them() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "serves_clients");
    let addresses: Addresses = program.ask("addresses");
    let heaptide = Heaptide::attach(&program);
    for size in 0..40 {
        let mut client = TcpStream::connect(("127.0.0.1", addresses.port)).expect("it listens");
        request(&mut client, 100 + size);
    }
    for _ in 0..10 {
        let mut client = UnixStream::connect(&addresses.local).expect("it listens");
        request(&mut client, 200);
    }
    let counts: Counts = program.ask("counts");
    let said = Said::of(&heaptide.stop());
    assert_eq!((counts.accepts, counts.receives), (50, 50), "{counts:?}");
    assert_eq!(
        said.last(|it| &it.accepts),
        Some(counts.accepts),
        "{said:?}"
    );
    assert_eq!(
        said.last(|it| &it.receives),
        Some(counts.receives),
        "{said:?}"
    );
    assert_eq!(
        said.last(|it| &it.received_bytes),
        Some(counts.bytes),
        "{said:?}"
    );
    assert!(said.last(|it| &it.descriptors) >= Some(5), "{said:?}");
    assert_eq!(
        (said.activity.as_str(), said.traffic.count),
        ("tcp-accepts", Some(50.0))
    );
}

#[test]
fn many_requests_on_few_connections_are_told_by_their_bytes() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "serves_clients");
    let addresses: Addresses = program.ask("addresses");
    let heaptide = Heaptide::attach(&program);
    let mut client = TcpStream::connect(("127.0.0.1", addresses.port)).expect("it listens");
    for _ in 0..200 {
        request(&mut client, 300);
    }
    let counts: Counts = program.ask("counts");
    let said = Said::of(&heaptide.stop());
    assert_eq!((counts.accepts, counts.bytes), (1, 60_000), "{counts:?}");
    assert_eq!(
        (said.traffic.signal.as_str(), said.traffic.count),
        ("socket-bytes", Some(6e4))
    );
}

#[test]
fn messages_of_a_broker_are_jobs() {
    let Some(python) = python() else {
        return;
    };
    // Brokers are told by their port; an address of its own leaves that of the host alone.
    let host = format!("127.77.{}.{}", id() % 200, 1 + id() / 200 % 200);
    let broker = TcpListener::bind((host.as_str(), 6379)).expect("nobody uses this address");
    let mut program = Program::start(&python, "serves_clients");
    let heaptide = Heaptide::attach(&program);
    program.tell(&format!("work {host}:6379"));
    let (mut worker, _) = broker.accept().expect("it works");
    for job in 0..30 {
        request(&mut worker, 300);
        if job % 3 == 0 {
            // There is nothing to do.
            request(&mut worker, 5);
        }
    }
    drop(worker);
    assert_eq!(program.hear(), "\"worked\"");
    let counts: Counts = program.ask("counts");
    let said = Said::of(&heaptide.stop());
    assert_eq!((counts.messages, counts.accepts), (30, 0), "{counts:?}");
    assert_eq!(said.last(|it| &it.messages), Some(30), "{said:?}");
    assert_eq!(
        (said.traffic.signal.as_str(), said.traffic.count),
        ("broker-messages", Some(30.0))
    );
}

#[test]
fn traffic_that_nobody_asked_for_is_not_counted() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "serves_clients");
    let addresses: Addresses = program.ask("addresses");
    let heaptide = Heaptide::attach_with(&program, &["--traffic", "none"]);
    let mut client = TcpStream::connect(("127.0.0.1", addresses.port)).expect("it listens");
    request(&mut client, 300);
    let said = Said::of(&heaptide.stop());
    assert_eq!(said.last(|it| &it.accepts), None, "{said:?}");
    assert_eq!(said.activity, "processor-time");
}

/// A control group that is made for a test.
struct Group {
    folder: PathBuf,
    members: Vec<u32>,
}

impl Group {
    /// Makes one with a limit of so many bytes; nothing where this host does not let.
    fn with_limit(bytes: u64) -> Option<Self> {
        let name = format!("heaptide-test-{}", id());
        let versions = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        versions.into_iter().find_map(|(root, limit)| {
            let folder = Path::new(root).join(&name);
            fs::create_dir(&folder).ok()?;
            let group = Self {
                folder,
                members: Vec::new(),
            };
            fs::write(group.folder.join(limit), bytes.to_string()).ok()?;
            Some(group)
        })
    }

    fn take(&mut self, pid: u32) -> io::Result<()> {
        self.members.push(pid);
        fs::write(self.folder.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let parent = self.folder.parent().expect("it is in one");
        for pid in &self.members {
            // It may have ended already, and then it is in no group.
            let _gone = fs::write(parent.join("cgroup.procs"), pid.to_string());
        }
        let _gone = fs::remove_dir(&self.folder);
    }
}

#[test]
fn the_limit_of_a_control_group_is_told() {
    let (Some(python), Some(mut group)) = (python(), Group::with_limit(512 << 20)) else {
        return;
    };
    let program = Program::start(&python, "serves_clients");
    if group.take(program.pid()).is_err() {
        return;
    }
    let ended = Heaptide::attach(&program).stop();
    let found = Said::of(&ended).cgroup.expect("there is one");
    let name = group.folder.file_name().and_then(|name| name.to_str());
    assert_eq!(found.path.rsplit('/').next(), name, "{found:?}");
    assert_eq!(found.limit, Some(512 << 20));
    assert!(found.current < 512 << 20, "{found:?}");
    assert!(
        ended.output.stdout.contains("512 MiB of cgroup"),
        "{}",
        ended.output.stdout
    );
}
