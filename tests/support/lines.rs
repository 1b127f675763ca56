//! Lines that another process writes, read without waiting for ever.

use std::{
    io::{BufRead as _, BufReader, Read},
    os::fd::AsFd,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// For how long a process may say nothing. It is no expectation: only a test that hangs meets it.
const PATIENCE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

/// The lines that come out of a pipe.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    /// Who writes, for messages.
    name: String,
}

impl<R: Read + AsFd> Lines<R> {
    pub(super) fn new(pipe: R, name: String) -> Self {
        Self {
            reader: BufReader::new(pipe),
            name,
        }
    }

    /// The next line, without its end; `None` when there will be no more.
    pub(super) fn next(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            self.wait();
            let chunk = self.reader.fill_buf().expect("a pipe can be read");
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |end| end + 1);
            line.extend_from_slice(&chunk[..taken]);
            self.reader.consume(taken);
        }
        let text = String::from_utf8_lossy(&line);
        (!line.is_empty()).then(|| text.trim_end_matches('\n').to_owned())
    }

    /// All that is still to come.
    pub(super) fn rest(&mut self) -> String {
        let mut text = String::new();
        while let Some(line) = self.next() {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    fn wait(&self) {
        if !self.reader.buffer().is_empty() {
            return;
        }
        let pipe = self.reader.get_ref();
        loop {
            match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&PATIENCE)) {
                Ok(0) => panic!("{} has said nothing for a minute", self.name),
                Err(Errno::INTR) => {}
                Ok(_ready) => return,
                Err(error) => panic!("{}: {error}", self.name),
            }
        }
    }
}
