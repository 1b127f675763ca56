//! Prints the rows of interpreter layouts; `cargo xtask layouts` compares them with headers.

use std::io::{self, Write as _};

use profiler::python::layouts::Layout;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for row in Layout::all() {
        writeln!(out, "{row:#?}")?;
        writeln!(out, "{:#?}", row.clone().with_assertions())?;
    }
    Ok(())
}
