//! What the kernel half tells: events, and what becomes of processes.

use std::time::Duration;

use profiler_common::loss::Loss;

use super::{
    Tracker,
    arrivals::{Starting, heap_end},
};
use crate::{
    probe::{Happening, Record},
    process::identity::Identity,
    profile::{Lifecycle, LifecycleKind},
    source::{Event, What},
    units::Pid,
};

impl Tracker {
    /// Takes in one record of the kernel half, and returns when it was made.
    pub(in crate::session) fn take(&mut self, record: &Record) -> Duration {
        let time = self.time_of(record);
        match record.what {
            Happening::Forked { child } => self.forked(record.pid, child, time),
            Happening::Execed => self.execed(record.pid, time),
            Happening::Exited => self.exited(record.pid, time),
            _ => {
                let followed = self.followed.get_mut(&record.pid);
                let stands_for = followed.map_or(1, |followed| followed.hit(record, time));
                if let Some(mut event) = self.translator.translate(record, time) {
                    if let What::ObjectTaken { times, .. } = &mut event.what {
                        *times = stands_for;
                    }
                    self.find_cause(record.pid, &mut event);
                    if let Some(stack) = event.what.stack() {
                        let thread = (record.pid, record.tid);
                        self.threads.saw(event.process, stack, thread);
                    }
                    self.books.apply(&event);
                }
            }
        }
        time
    }

    /// Finds out why a forked process no longer shares a page that it touched.
    fn find_cause(&mut self, pid: Pid, event: &mut Event) {
        if let What::PagesTouched {
            address, copied, ..
        } = &mut event.what
            && let Some(followed) = self.followed.get_mut(&pid)
        {
            *copied = followed.cause_of_copy(*address);
        }
    }

    fn time_of(&self, record: &Record) -> Duration {
        self.clock.at(record.time_ns)
    }

    fn forked(&mut self, parent: Pid, child: Pid, time: Duration) {
        if self.followed.contains_key(&child) {
            return;
        }
        if !self.children {
            self.probe.forget(child);
            return;
        }
        let identity = Identity::read(child).unwrap_or_else(|_ended| self.child_of(parent, child));
        let key = self.meet(identity, LifecycleKind::Forked, time);
        let inherited = self
            .followed
            .get(&parent)
            .and_then(|followed| Some((followed.key, followed.plan.as_ref()?.for_child(child))));
        let Some((parent_key, plan)) = inherited else {
            return;
        };
        self.pass_on_pages(parent, child);
        self.translator.inherit(parent_key, key);
        self.records[key.0 as usize].python = Some(plan.interpreter.version.to_string());
        self.books.open(key, heap_end(child), time);
        self.trace(child, key, &plan);
        self.open_probes(child, plan, time);
        self.losses.add(Loss::ProbesLate, 1);
        tracing::info!("process {child} is measured as process {parent} is");
    }

    /// Notes which pages a child has from its parent.
    fn pass_on_pages(&mut self, parent: Pid, child: Pid) {
        let pages = self.legacy.of(parent);
        if let (Some(pages), Some(followed)) = (pages, self.followed.get_mut(&child)) {
            followed.causes.inherit(pages);
        }
    }

    /// What a child looks like that ended before anything could be read about it: its parent.
    fn child_of(&self, parent: Pid, child: Pid) -> Identity {
        let known = self
            .followed
            .get(&parent)
            .map(|followed| followed.identity.clone());
        Identity {
            pid: child,
            parent,
            ..known.unwrap_or_else(|| Identity::unknown(child))
        }
    }

    fn execed(&mut self, pid: Pid, time: Duration) {
        let Some(followed) = self.followed.get_mut(&pid) else {
            return;
        };
        let key = followed.key;
        let links = followed.take_links();
        followed.forget_plan();
        self.lifecycles.push(Lifecycle {
            process: key,
            time,
            kind: LifecycleKind::Execed,
        });
        if let Ok(identity) = Identity::read(pid) {
            self.records[key.0 as usize]
                .command
                .clone_from(&identity.command);
            followed.identity = identity;
        }
        self.records[key.0 as usize].python = None;
        self.detach_later(links);
        self.translator.forget_code(key);
        self.books.close(key, time);
        let eagerly = self
            .starting
            .iter()
            .any(|starting| starting.pid == pid && starting.eagerly);
        self.starting.retain(|starting| starting.pid != pid);
        if eagerly {
            self.measure_before_python(pid, key);
        }
        self.starting.push(Starting::new(pid, eagerly));
    }

    pub(super) fn exited(&mut self, pid: Pid, time: Duration) {
        let Some(mut followed) = self.followed.remove(&pid) else {
            return;
        };
        self.records[followed.key.0 as usize].ended = Some(time);
        self.books.settle(followed.key, time);
        self.books.close(followed.key, time);
        let exited = Lifecycle {
            process: followed.key,
            time,
            kind: LifecycleKind::Exited,
        };
        self.lifecycles.push(exited);
        self.starting.retain(|starting| starting.pid != pid);
        self.detach_later(followed.take_links());
    }
}
