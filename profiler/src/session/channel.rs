//! The probes of one process that are for one thing, and when they are open.

use std::time::Duration;

use crate::{
    probe::{Links, Order, Probe, ProbeError, Throttle},
    source::{Plan, SiteClass},
    units::Pid,
};

/// The probes of one process for one class of sites.
pub(super) struct Channel {
    class: SiteClass,
    links: Links,
    throttle: Throttle,
    /// Whether the probes were taken away though their time was not over.
    is_interrupted: bool,
}

impl Channel {
    /// A closed channel, whose probes may take this part of the target's time.
    pub(super) fn new(class: SiteClass, limit: f64) -> Self {
        Self {
            class,
            links: Links::default(),
            throttle: Throttle::new(limit),
            is_interrupted: false,
        }
    }

    /// Opens or closes the probes, as what they cost demands. `passed` is the time that the target
    /// had since the last call, and `cost` what these probes took of it. Links that were closed
    /// are put into `closed`.
    pub(super) fn pay(
        &mut self,
        probe: &mut Probe,
        (pid, plan): (Pid, &Plan),
        (now, passed, cost): (Duration, Duration, Duration),
        closed: &mut Links,
    ) -> Result<(), ProbeError> {
        match self.throttle.observe(now, passed, cost) {
            Order::Close => {
                closed.append(std::mem::take(&mut self.links));
                self.is_interrupted = false;
                Ok(())
            }
            Order::Keep if !self.is_interrupted => Ok(()),
            Order::Keep | Order::Open(_) => self.open(probe, pid, plan),
        }
    }

    fn open(&mut self, probe: &mut Probe, pid: Pid, plan: &Plan) -> Result<(), ProbeError> {
        self.is_interrupted = false;
        for planned in plan
            .sites
            .iter()
            .filter(|planned| planned.class == self.class)
        {
            let links =
                probe.attach_sites(planned.program, pid, &planned.path(), &planned.sites)?;
            self.links.append(links);
        }
        Ok(())
    }

    /// Takes the probes away, and returns them for whoever has the time to wait. If the process
    /// goes on with another program, they come back with its plan.
    pub(super) fn take_links(&mut self) -> Links {
        self.is_interrupted = self.throttle.is_open();
        std::mem::take(&mut self.links)
    }

    /// For how long they have been open; not at all if the plan has no such sites.
    pub(super) fn open_time(&self, plan: Option<&Plan>, now: Duration) -> Duration {
        let has_sites = |plan: &Plan| plan.sites.iter().any(|planned| planned.class == self.class);
        if plan.is_some_and(has_sites) {
            self.throttle.open_time(now)
        } else {
            Duration::ZERO
        }
    }

    /// Whether they are open only part of the time.
    pub(super) fn is_sampled(&self) -> bool {
        self.throttle.is_sampling()
    }

    /// How soon to look at them again.
    pub(super) fn check_within(&self) -> Duration {
        self.throttle.check_within()
    }
}
