//! What a process has open, and what comes to it through its sockets.

/// What a process has open at one moment, and what has come to it until then. What the kernel did
/// not tell is `None`, never zero.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SocketCensus {
    /// How many descriptors it has open.
    pub descriptors: Option<u64>,
    /// On how many sockets it listens.
    pub listeners: Option<u64>,
    /// Connections that it has accepted since it is followed.
    pub accepts: Option<u64>,
    /// How often it has received something on such connections since then.
    pub receives: Option<u64>,
    /// How many bytes that was.
    pub received_bytes: Option<u64>,
    /// How often it has received something as long as a message from a broker since then.
    pub messages: Option<u64>,
}

/// What is asked to stand for traffic.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TrafficChoice {
    /// Whatever the target offers.
    #[default]
    Auto,
    /// None.
    None,
    /// Connections accepted.
    TcpAccepts,
    /// Bytes received from sockets.
    SocketBytes,
}

impl TrafficChoice {
    /// All choices.
    pub const ALL: [Self; 4] = [Self::Auto, Self::None, Self::TcpAccepts, Self::SocketBytes];

    /// The stable name, as it stands in recordings and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::TcpAccepts => "tcp-accepts",
            Self::SocketBytes => "socket-bytes",
        }
    }

    /// Finds a choice by its stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
    }

    /// Whether connections are counted.
    pub const fn counts_accepts(self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether what is received is counted.
    pub const fn counts_receives(self) -> bool {
        matches!(self, Self::Auto | Self::SocketBytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_is_found_by_its_name() {
        for choice in TrafficChoice::ALL {
            assert_eq!(TrafficChoice::from_name(choice.name()), Some(choice));
        }
        assert_eq!(TrafficChoice::from_name("http"), None);
    }

    #[test]
    fn only_what_is_asked_for_is_counted() {
        let counted = |it: TrafficChoice| (it.counts_accepts(), it.counts_receives());
        assert_eq!(counted(TrafficChoice::None), (false, false));
        assert_eq!(counted(TrafficChoice::TcpAccepts), (true, false));
        assert_eq!(counted(TrafficChoice::SocketBytes), (true, true));
    }
}
