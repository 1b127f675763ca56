//! What a person should know about objects that are not seen, or not one by one.

use crate::python::Allocators;

/// A kernel without links for many probes.
pub(super) const SEEN_THROUGH_POOLS: &str = "small objects are seen through their pools only: this \
     kernel attaches probes one by one, and this build of Python needs too many of them for short \
     windows";

/// The same, where the probes of pools are few enough, and others would be too many.
pub(super) const NOT_SEEN_AGAIN: &str = "tuples, lists, dicts and floats that Python keeps to \
     use them again count for the line that had them first: this kernel attaches probes one by \
     one, and these would be too many for short windows";

/// A build whose code is another.
pub(super) const PYMALLOC_UNKNOWN: &str =
    "small objects are not attributed: pymalloc's code was not recognised";

/// The same with mimalloc.
pub(super) const MIMALLOC_UNKNOWN: &str = "this Python allocates with mimalloc, whose code was not \
     recognised as a whole: measured are mappings, page faults, and blocks over 512 bytes that are \
     requested from the C library";

/// A build with assertions, and mimalloc.
pub(super) const MIMALLOC_ENCODED: &str = "this Python allocates with mimalloc, whose free blocks \
     a build with assertions hides: measured are mappings, page faults, and blocks over 512 bytes \
     that are requested from the C library";

/// A kernel without links for many probes, and mimalloc.
pub(super) const TOO_MANY_PAGE_SITES: &str = "this Python allocates with mimalloc, whose blocks \
     are not attributed: this kernel attaches probes one by one, and too many are needed for short \
     windows";

/// Windows show a part of the blocks of all sizes.
pub(super) const SEEN_LIKE_SMALL: &str = "this Python allocates with mimalloc: its blocks of all \
     sizes are seen as small objects are, large ones too, so that few of them may escape the \
     windows";

/// Small objects that come from `malloc`: of what is freed after a window, many look alive.
const HIDDEN_BY_MALLOC: &str = "this Python allocates small objects with malloc, too, where \
     blocks of up to 512 bytes are measured with --exact only";

/// What small objects that do not, or need not, end in pymalloc or mimalloc mean.
pub(super) fn hidden_by(allocators: &Allocators, is_exact: bool) -> Option<String> {
    if allocators.uses_malloc() {
        return (!is_exact).then(|| HIDDEN_BY_MALLOC.to_owned());
    }
    let file = allocators.foreign()?;
    Some(format!(
        "this Python allocates with functions of {file}: small objects are attributed only if \
         these pass them on to pymalloc"
    ))
}
