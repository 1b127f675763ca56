//! What is looked at now and then in one process to tell causes apart: what its allocators keep,
//! and what it still shares with the process that forked it.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{followed::Followed, pace::Pace};
use crate::{
    process::{
        heap::Arenas,
        identity::Identity,
        pagemap::Pagemap,
        sharing::{Inheritance, is_forked},
    },
    profile::{AllocatorCensus, CopyCause, ProcessKey, SharingCensus},
    source::Plan,
    units::Pid,
};

/// How often is looked: it walks heaps and page tables.
const PERIOD: Duration = Duration::from_secs(10);

/// What is known of one process.
pub(super) struct Causes {
    allocators: Pace,
    sharing: Pace,
    arenas: Option<Arenas>,
    origin: Origin,
    /// Its page map, opened when it is needed.
    pages: Option<Pagemap>,
}

/// Where the process comes from.
enum Origin {
    /// It was not found out yet.
    Open,
    /// It was not forked by a process that is still there.
    None,
    /// It got these pages by a fork.
    Forked(Rc<Inheritance>),
}

/// What processes pass on to the children that they fork. Where one forks many, one look is enough.
#[derive(Default)]
pub(super) struct Legacy(Option<(Instant, Duration, Rc<Inheritance>)>);

/// For so long, a process passes the same pages on to all its children …
const SAME_PAGES: Duration = Duration::from_millis(500);
/// … or for so many times as long as it took to look at them.
const SAME_TIMES: u32 = 50;

impl Legacy {
    /// What a process passes on now.
    pub(super) fn of(&mut self, parent: Pid) -> Option<Rc<Inheritance>> {
        let known = (self.0.as_ref()).filter(|(when, took, pages)| {
            when.elapsed() < SAME_PAGES.max(*took * SAME_TIMES) && pages.parent() == parent
        });
        if let Some((_, _, pages)) = known {
            return Some(Rc::clone(pages));
        }
        let start = Instant::now();
        let pages = Inheritance::of(parent).ok()?;
        self.0 = Some((Instant::now(), start.elapsed(), Rc::clone(&pages)));
        Some(pages)
    }
}

impl Default for Causes {
    fn default() -> Self {
        Self {
            allocators: Pace::new(PERIOD),
            sharing: Pace::new(PERIOD),
            arenas: None,
            origin: Origin::Open,
            pages: None,
        }
    }
}

impl Causes {
    /// The process was forked just now, and got these pages.
    pub(super) fn inherit(&mut self, inheritance: Rc<Inheritance>) {
        self.origin = Origin::Forked(inheritance);
    }

    /// What the allocators hold, if it is time to look.
    pub(super) fn look_at_allocators(
        &mut self,
        (process, _): (ProcessKey, &Identity),
        plan: Option<&Plan>,
        (time, is_last): (Duration, bool),
    ) -> Option<AllocatorCensus> {
        let plan = plan?;
        if is_last {
            self.allocators = Pace::new(PERIOD);
        }
        let arenas = &mut self.arenas;
        self.allocators.run(Instant::now(), || {
            if plan.glibc_heap && arenas.is_none() {
                *arenas = Arenas::find(&plan.memory).ok().flatten();
            }
            let pools = plan.pools.as_ref().filter(|_| plan.mimalloc.is_none());
            AllocatorCensus {
                process,
                time,
                python: pools.and_then(|pools| pools.heap(&plan.memory).ok()),
                libc: arenas.and_then(|arenas| arenas.census(&plan.memory).ok()),
            }
        })
    }

    /// What is shared with the process that forked this one, if it is time to look; `None` if
    /// none did that is still there.
    pub(super) fn look_at_sharing(
        &mut self,
        (process, identity): (ProcessKey, &Identity),
        anonymous: Option<u64>,
        (time, is_last): (Duration, bool),
    ) -> Option<SharingCensus> {
        if is_last {
            self.sharing = Pace::new(PERIOD);
        }
        let origin = &mut self.origin;
        self.sharing.run(Instant::now(), || {
            if matches!(origin, Origin::Open) {
                *origin = Origin::of(identity);
            }
            let Origin::Forked(inheritance) = &*origin else {
                return None;
            };
            // What nobody else has any more is no copy.
            if !is_forked(identity.pid, inheritance.parent()) {
                *origin = Origin::None;
                return None;
            }
            let shares = inheritance.shares(identity.pid).ok()?;
            // A child that has only been made to execute a program uses its parent's memory until
            // then, which looks like a copy of everything.
            if shares.shared == 0 {
                return None;
            }
            let had = shares.shared.saturating_add(shares.copied);
            Some(SharingCensus {
                process,
                time,
                parent: inheritance.parent(),
                shared: shares.shared,
                copied: shares.copied,
                own: anonymous.unwrap_or(had).saturating_sub(had),
            })
        })?
    }

    /// Why a page is no longer shared that was touched just now; `None` if it never was, or is.
    pub(super) fn cause_of_copy(
        &mut self,
        pid: Pid,
        plan: Option<&mut Plan>,
        address: u64,
    ) -> Option<CopyCause> {
        let Origin::Forked(inheritance) = &self.origin else {
            return None;
        };
        if self.pages.is_none() {
            self.pages = Pagemap::open(pid).ok();
        }
        let pages = self.pages.as_ref()?;
        if !inheritance.is_copied(pages, address) {
            return None;
        }
        let fates = plan.and_then(|plan| Some((plan.fates.as_mut()?, &plan.memory)));
        let cause = fates.map(|(fates, memory)| fates.written(memory, address));
        Some(cause.unwrap_or(CopyCause::Unknown))
    }
}

impl Followed {
    /// What its allocators hold and what it shares with its parent, if it is time to look.
    pub(super) fn look_for_causes(
        &mut self,
        time: Duration,
        is_last: bool,
    ) -> (Option<AllocatorCensus>, Option<SharingCensus>) {
        let who = (self.key, &self.identity);
        let anonymous = self.last_deep.anonymous;
        let when = (time, is_last);
        let allocators = (self.causes).look_at_allocators(who, self.plan.as_ref(), when);
        let sharing = self.causes.look_at_sharing(who, anonymous, when);
        (allocators, sharing)
    }

    /// Why a page is no longer shared that was touched just now; `None` if it never was, or is.
    pub(super) fn cause_of_copy(&mut self, address: u64) -> Option<CopyCause> {
        let pid = self.identity.pid;
        self.causes.cause_of_copy(pid, self.plan.as_mut(), address)
    }
}

impl Origin {
    /// Of a process that was met when it ran already.
    fn of(identity: &Identity) -> Self {
        let (child, parent) = (identity.pid, identity.parent);
        let forked = is_forked(child, parent).then(|| Inheritance::of(parent));
        match forked {
            Some(Ok(inheritance)) => Self::Forked(inheritance),
            _ => Self::None,
        }
    }
}
