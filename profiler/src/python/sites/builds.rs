//! The sites in the interpreters and the libc of this machine.

use std::{fs, path::PathBuf};

use iced_x86::{Decoder, DecoderOptions, Register};

use super::{new_pool::SizeClass, *};
use crate::{
    process::{
        elf::ElfFile,
        instruction::{entry_site, is_emulated},
    },
    python::{layouts::Layout, testing::listed},
};

/// The files with an interpreter: programs, and the libraries that come with them.
fn interpreters() -> Vec<(PathBuf, ElfFile)> {
    let mut paths = Vec::new();
    for python in listed() {
        let program = python.file();
        let library = format!("libpython{}.so.1.0", python.version);
        let folders = ["../lib", "../lib/x86_64-linux-gnu"];
        let libraries = folders.map(|folder| program.with_file_name(folder).join(&library));
        paths.push(program);
        paths.extend(libraries);
    }
    paths
        .into_iter()
        .filter_map(|path| {
            let file = ElfFile::open(&path).ok()?;
            file.defines("_PyRuntime").then_some((path, file))
        })
        .collect()
}

/// Whether a uprobe at `address` would be emulated. Fails on a `nop` of 5 bytes.
fn is_cheap(file: &ElfFile, address: u64) -> bool {
    let bytes = file.bytes_at(address, 16).unwrap();
    let instruction = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).decode();
    let bytes = &bytes[..instruction.len()];
    assert_ne!(bytes, [0x0f, 0x1f, 0x44, 0x00, 0x00]);
    is_emulated(&instruction, bytes)
}

#[test]
fn every_interpreter_shows_where_it_takes_pools() {
    let interpreters = interpreters();
    if interpreters.is_empty() {
        println!("skipped every_interpreter_shows_where_it_takes_pools: no interpreter here");
    }
    for (path, file) in interpreters {
        let sites = new_pool::find(&file.executable_segments());
        let name = path.display();
        assert!(!sites.is_empty(), "{name}");
        for site in &sites {
            assert_eq!(
                is_cheap(&file, site.address),
                site.is_emulated,
                "{name}: {site:x?}"
            );
            assert_ne!(site.size_class, SizeClass::Header, "{name}: {site:x?}");
            assert_ne!(
                site.size_class,
                SizeClass::Register(site.pool),
                "{name}: {site:x?}"
            );
        }
        if let Some(function) = file.symbol("allocate_from_new_pool") {
            let end = function.address + function.size;
            let is_inside = |address| function.address <= address && address < end;
            assert!(
                sites.iter().all(|site| is_inside(site.address)),
                "{name}: {sites:x?}"
            );
        }
        println!("{name}: {} places where a pool is taken", sites.len());
    }
}

#[test]
fn every_interpreter_shows_where_it_hands_blocks_out() {
    for (path, file) in interpreters() {
        let sites = pop::find(&file.executable_segments());
        let name = path.display();
        assert!(!sites.is_empty(), "{name}");
        assert!(
            sites.iter().all(|site| is_cheap(&file, site.address)),
            "{name}"
        );
        println!("{name}: {} places where a block is handed out", sites.len());
    }
}

#[test]
fn every_interpreter_shows_where_it_uses_objects_again() {
    for (path, file) in interpreters() {
        let sites = reuse::find(&file.executable_segments());
        let name = path.display();
        // Tuples, lists, dicts and floats, at least; what is not optimized shows fewer.
        let is_optimized = !file.defines("_Py_RefTotal") && !name.to_string().ends_with('d');
        assert!(sites.len() >= 4 || !is_optimized, "{name}: {sites:x?}");
        assert!(
            sites.iter().all(|site| is_cheap(&file, site.address)),
            "{name}"
        );
        println!(
            "{name}: {} places where an object is used again",
            sites.len()
        );
    }
}

#[test]
fn every_interpreter_with_mimalloc_shows_where_it_takes_blocks_off_pages() {
    for (path, file) in interpreters() {
        let name = path.display();
        for layout in Layout::all() {
            let Some(mimalloc) = layout.runtime.mimalloc else {
                continue;
            };
            let sites = page::find(&file.executable_segments(), &mimalloc);
            println!(
                "{name}: {} {}: {sites:x?}",
                layout.feature, layout.free_threaded
            );
        }
    }
}

/// The file that a library of this process was loaded from.
fn loaded(library: &str) -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut paths = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]));
    PathBuf::from(paths.rfind(|path| path.ends_with(library)).unwrap())
}

/// The entry site of a function that passes `arguments`, and how far behind its start it is.
fn entry_of(file: &ElfFile, name: &str, arguments: &[Register]) -> Option<(u64, u64)> {
    let function = file.export(name).unwrap();
    let size = usize::try_from(function.size).unwrap();
    let code = file.bytes_at(function.address, size).unwrap();
    let site = entry_site(code, function.address, arguments, true)?.address;
    Some((site, site - function.address))
}

const ONE: &[Register] = &[Register::RDI];
const TWO: &[Register] = &[Register::RDI, Register::RSI];

#[test]
fn the_allocator_of_the_c_library_is_cheap_to_probe() {
    let libc = ElfFile::open(&loaded("/libc.so.6")).unwrap();
    for (name, arguments) in [
        ("malloc", ONE),
        ("calloc", TWO),
        ("realloc", TWO),
        ("free", ONE),
    ] {
        let (site, distance) = entry_of(&libc, name, arguments).unwrap();
        assert!(is_cheap(&libc, site), "{name}+{distance}");
    }
}

#[test]
fn raw_allocators_are_cheap_to_probe_where_they_do_not_just_jump_on() {
    let names = [
        ("PyMem_RawMalloc", ONE),
        ("PyMem_RawCalloc", TWO),
        ("PyMem_RawRealloc", TWO),
        ("PyMem_RawFree", ONE),
    ];
    for (path, file) in interpreters() {
        for (name, arguments) in names {
            let entry = entry_of(&file, name, arguments);
            let is_cheap = entry.is_none_or(|(site, _)| is_cheap(&file, site));
            assert!(is_cheap, "{}: {name}", path.display());
            assert!(
                entry.is_some() || name == "PyMem_RawFree",
                "{}: {name}",
                path.display()
            );
        }
    }
}
