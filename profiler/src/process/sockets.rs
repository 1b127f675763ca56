//! What a process has open: how many descriptors, and which sockets it listens on.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
};

use super::{ProcessError, proc_file};
use crate::units::Pid;

/// So many descriptors are looked at for sockets; those that listen are among the first.
const MOST_DESCRIPTORS: usize = 16_384;

/// So much is read of each table of sockets: those that listen come first.
const MOST_BYTES: u64 = 1 << 20;

/// The state of a socket that listens, in the kernel's tables.
const LISTENS: &str = "0A";

/// The flag of a local socket that listens.
const ACCEPTS: u32 = 0x0001_0000;

/// The sockets on which a process listens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listeners {
    /// Ports of TCP, in ascending order.
    pub ports: Vec<u16>,
    /// How many local sockets.
    pub local: usize,
}

impl Listeners {
    /// How many there are.
    pub const fn count(&self) -> usize {
        self.ports.len() + self.local
    }

    /// Asks the kernel. It looks at the descriptors of the process, and at the sockets of its
    /// network namespace as far as they listen.
    pub fn read(pid: Pid) -> Result<Self, ProcessError> {
        let own = sockets(pid)?;
        let mut listeners = Self::default();
        if own.is_empty() {
            return Ok(listeners);
        }
        for table in ["net/tcp", "net/tcp6"] {
            let lines = lines(pid, table);
            let listening = lines.iter().skip(1).map_while(|line| tcp(line));
            let ports = listening.filter(|(inode, _)| own.contains(inode));
            listeners.ports.extend(ports.map(|(_, port)| port));
        }
        listeners.ports.sort_unstable();
        listeners.ports.dedup();
        let local = lines(pid, "net/unix");
        let listening = local.iter().filter_map(|line| local_listener(line));
        listeners.local = listening.filter(|inode| own.contains(inode)).count();
        Ok(listeners)
    }
}

/// How many descriptors a process has open.
pub fn descriptors(pid: Pid) -> Result<u64, ProcessError> {
    let what = "the descriptors";
    let path = proc_file::path(pid, "fd");
    let error = |source| ProcessError::new(pid, what, source);
    // Since Linux 6.2 the folder's size says it.
    let size = fs::metadata(&path).map_err(error)?.len();
    if size > 0 {
        return Ok(size);
    }
    Ok(fs::read_dir(&path).map_err(error)?.count() as u64)
}

/// The inodes of the sockets that a process has open.
fn sockets(pid: Pid) -> Result<HashSet<u64>, ProcessError> {
    let entries = fs::read_dir(proc_file::path(pid, "fd"))
        .map_err(|source| ProcessError::new(pid, "the descriptors", source))?;
    let targets = entries
        .take(MOST_DESCRIPTORS)
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Ok(targets
        .filter_map(|target| {
            let name = target.to_str()?.strip_prefix("socket:[")?;
            name.strip_suffix(']')?.parse().ok()
        })
        .collect())
}

/// The lines of a table of the process's network namespace; none if it cannot be read.
fn lines(pid: Pid, table: &str) -> Vec<String> {
    let Ok(file) = File::open(proc_file::path(pid, table)) else {
        return Vec::new();
    };
    let lines = BufReader::new(file.take(MOST_BYTES)).split(b'\n');
    let lines = lines.map_while(Result::ok);
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

/// The inode and the port of a socket of TCP that listens.
fn tcp(line: &str) -> Option<(u64, u16)> {
    let mut fields = line.split_ascii_whitespace();
    let (_address, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (fields.nth(1)? == LISTENS).then_some(())?;
    let inode = fields.nth(5)?.parse().ok()?;
    Some((inode, port))
}

/// The inode of a local socket, if it listens.
fn local_listener(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    (flags & ACCEPTS != 0).then_some(())?;
    fields.nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::net::UnixListener,
    };

    use proptest::prelude::*;

    use super::*;
    use crate::process::testing::Program;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
   0: 0100007F:911D 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 124053 1 0
   1: 0100007F:911D 0100007F:CF02 01 00000000:00000000 00:00000000 00000000 0 0 124054 1 0";

    #[test]
    fn only_what_listens_has_a_port() {
        let found: Vec<_> = TABLE.lines().map(tcp).collect();
        assert_eq!(found, [None, Some((124_053, 0x911d)), None]);
    }

    #[test]
    fn local_sockets_are_told_by_their_flag() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 17436 /run/x.sock";
        assert_eq!(local_listener(line), Some(17_436));
        let line = "0000000000000000: 00000003 00000000 00000000 0001 03 17437";
        assert_eq!(local_listener(line), None);
    }

    #[test]
    fn this_process_listens_on_what_it_has_opened() {
        let folder = tempfile::tempdir().unwrap();
        let own = Pid(std::process::id());
        let before = descriptors(own).unwrap();
        let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let six = TcpListener::bind(("::1", 0));
        let local = UnixListener::bind(folder.path().join("x.sock")).unwrap();
        let client = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let found = Listeners::read(own).unwrap();
        for listener in [Some(&tcp), six.as_ref().ok()].into_iter().flatten() {
            let port = listener.local_addr().unwrap().port();
            assert!(found.ports.contains(&port), "{found:?}");
        }
        assert!(!found.ports.contains(&client.local_addr().unwrap().port()));
        assert!(found.local >= 1 && found.count() >= 2, "{found:?}");
        assert!(before >= 3 && descriptors(own).unwrap() > 3);
        drop(local);
    }

    #[test]
    fn a_program_without_sockets_listens_on_none() {
        let mut program = Program::start();
        assert_eq!(Listeners::read(program.pid()).unwrap().count(), 0);
        assert!(descriptors(program.pid()).unwrap() >= 2);
        program.end();
        assert!(Listeners::read(program.pid()).is_err());
        assert!(descriptors(program.pid()).is_err());
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "([0-9A-F:]{0,12} ?){0,14}") {
            let _any = tcp(&line);
            let _any = local_listener(&line);
        }
    }
}
