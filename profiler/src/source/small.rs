//! Where probes see objects: at the branches of pymalloc that hand out blocks and take pools, at
//! those of CPython that use dead objects again, and at those of mimalloc that hand out blocks.

use profiler_common::cookie::{ObjectCookie, PageCookie, PoolCookie, ReuseCookie, SizeClassPlace};

use crate::{
    probe::Site,
    process::elf::ElfFile,
    python::{
        mimalloc::MimallocLayout,
        sites::{
            new_pool::{self, NewPoolSite, SizeClass},
            page::{self, PageSite},
            pop::{self, PopSite},
            reuse::{self, ReuseSite},
        },
    },
};

/// The places in one binary.
#[derive(Debug)]
pub(super) struct SmallObjectSites {
    new_pools: Vec<NewPoolSite>,
    pops: Vec<PopSite>,
    reuses: Vec<ReuseSite>,
}

impl SmallObjectSites {
    /// Finds them in the code.
    pub(super) fn find(elf: &ElfFile) -> Self {
        let code = elf.executable_segments();
        Self {
            new_pools: new_pool::find(&code),
            pops: pop::find(&code),
            reuses: reuse::find(&code),
        }
    }

    /// Whether small objects cannot be seen.
    pub(super) fn is_empty(&self) -> bool {
        self.new_pools.is_empty()
    }

    /// Where pools are taken.
    ///
    /// Some builds have a copy of the code for pools fresh from an arena without a branch in it.
    /// Its site is single-stepped, which is bearable once per pool: such a pool costs the target
    /// several page faults anyway. Without it, most new pools would be missed.
    pub(super) fn of_pools(&self, elf: &ElfFile) -> Vec<Site> {
        let sites = self.new_pools.iter().filter_map(|site| {
            Some(Site {
                file_offset: elf.file_offset(site.address)?,
                cookie: cookie(site).to_wire(),
            })
        });
        sites.collect()
    }

    /// Where blocks are handed out: off a pool that has some, or as the first of a new one.
    pub(super) fn of_objects(&self, elf: &ElfFile) -> Vec<Site> {
        if self.pops.is_empty() {
            return Vec::new();
        }
        let pops = self.pops.iter().map(|site| {
            let cookie = ObjectCookie::Pop { pool: site.pool };
            (site.address, cookie)
        });
        let new_pools = self
            .new_pools
            .iter()
            .map(|site| (site.address, ObjectCookie::NewPool(cookie(site))));
        sites(elf, pops.chain(new_pools))
    }

    /// Where dead objects are used again, whose pools have two to the power of `pool_bits` bytes.
    pub(super) fn of_reuses(&self, elf: &ElfFile, pool_bits: u8) -> Vec<Site> {
        let reuses = self.reuses.iter().map(|site| {
            let cookie = ObjectCookie::Reuse(ReuseCookie {
                object: site.object,
                references: site.references,
                pool_shift: pool_bits,
            });
            (site.address, cookie)
        });
        sites(elf, reuses)
    }
}

fn sites(elf: &ElfFile, places: impl Iterator<Item = (u64, ObjectCookie)>) -> Vec<Site> {
    let sites = places.filter_map(|(address, cookie)| {
        Some(Site {
            file_offset: elf.file_offset(address)?,
            cookie: cookie.to_wire(),
        })
    });
    sites.collect()
}

const fn cookie(site: &NewPoolSite) -> PoolCookie {
    PoolCookie {
        pool: site.pool,
        size_class: match site.size_class {
            SizeClass::Register(number) => SizeClassPlace::Register(number),
            SizeClass::Known(class) => SizeClassPlace::Known(class),
            SizeClass::Header => SizeClassPlace::Header,
        },
    }
}

/// The places in one binary at which mimalloc hands out blocks.
#[derive(Debug)]
pub(super) struct PageSites {
    sites: Vec<PageSite>,
    /// Page: how many bytes a block has.
    block_size: Option<u8>,
}

impl PageSites {
    /// Finds them in the code.
    pub(super) fn find(elf: &ElfFile, layout: &MimallocLayout) -> Self {
        Self {
            sites: page::find(&elf.executable_segments(), layout),
            block_size: u8::try_from(layout.page_block_size).ok(),
        }
    }

    /// Where blocks of all sizes are handed out.
    pub(super) fn of_objects(&self, elf: &ElfFile) -> Vec<Site> {
        let places = self.sites.iter().filter_map(|site| {
            let cookie = ObjectCookie::Page(PageCookie {
                block: site.block,
                page: site.page,
                block_size: self.block_size?,
            });
            Some((site.address, cookie))
        });
        sites(elf, places)
    }
}
