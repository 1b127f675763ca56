//! Code as compilers write it, in small.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{super::code::LOOK_LIMIT, *};

const START: u64 = 0x40_0000;

// The pool is in %rax and its class in %ebx everywhere.
#[rustfmt::skip]
mod code {
    pub(super) const LINK: &[u8] = &[0x48, 0x89, 0x50, 0x10,  // mov %rdx, 0x10(%rax)
                                     0x48, 0x89, 0x50, 0x18]; // mov %rdx, 0x18(%rax)
    pub(super) const LINK_VECTOR: &[u8] = &[0x0f, 0x11, 0x40, 0x10]; // movups %xmm0, 0x10(%rax)
    pub(super) const SET_COUNT: &[u8] = &[0xc7, 0x00, 1, 0, 0, 0]; // movl $1, (%rax)
    pub(super) const LOAD_CLASS: &[u8] = &[0x8b, 0x48, 0x24];  // mov 0x24(%rax), %ecx
    pub(super) const COMPARE_LOADED: &[u8] = &[0x39, 0xcb];    // cmp %ecx, %ebx
    pub(super) const COMPARE: &[u8] = &[0x39, 0x58, 0x24];     // cmp %ebx, 0x24(%rax)
    pub(super) const COMPARE_3: &[u8] = &[0x83, 0x78, 0x24, 3]; // cmpl $3, 0x24(%rax)
    pub(super) const JE_RENEW: &[u8] = &[0x74, 19];
    pub(super) const JNE_REUSE: &[u8] = &[0x75, 12];
    pub(super) const RENEW: &[u8] = &[0x89, 0x58, 0x24,        // mov %ebx, 0x24(%rax)
                                      0x48, 0x8d, 0x50, 0x50,  // lea 0x50(%rax), %rdx
                                      0x48, 0x89, 0x50, 0x08,  // mov %rdx, 0x8(%rax)
                                      0x48, 0xc7, 0x02, 0, 0, 0, 0, // movq $0, (%rdx)
                                      0xc3];                   // ret
    pub(super) const RENEW_2: &[u8] = &[0x66, 0x0f, 0xd6, 0x48, 0x24, // movq %xmm1, 0x24(%rax)
                                      0x48, 0x89, 0x50, 0x08,
                                      0x31, 0xc9,              // xor %ecx, %ecx
                                      0x66, 0x90,
                                      0x48, 0x89, 0x4a, 0x00,  // mov %rcx, (%rdx)
                                      0x90,
                                      0xc3];
    pub(super) const REUSE: &[u8] = &[0x48, 0x8b, 0x70, 0x08,  // mov 0x8(%rax), %rsi
                                      0x48, 0x8b, 0x0e,        // mov (%rsi), %rcx
                                      0x48, 0x89, 0x48, 0x08,  // mov %rcx, 0x8(%rax)
                                      0xc3];                   // ret
}
use code::*;

fn sites_in(pieces: &[&[u8]]) -> Vec<NewPoolSite> {
    find(&[Segment {
        address: START,
        bytes: &pieces.concat(),
    }])
}

fn site(offset: usize, size_class: SizeClass, is_emulated: bool) -> NewPoolSite {
    NewPoolSite {
        address: START + offset as u64,
        pool: 0,
        size_class,
        is_emulated,
    }
}

const RBX: SizeClass = SizeClass::Register(3);
const CLASS_3: SizeClass = SizeClass::Known(3);
const UNKNOWN: SizeClass = SizeClass::Header;

#[test]
fn the_question_for_the_class_is_the_site() {
    #[rustfmt::skip]
    let cases: &[(&[&[u8]], usize, SizeClass)] = &[
        (&[LINK, SET_COUNT, COMPARE, JE_RENEW, RENEW, REUSE], 17, RBX),
        (&[LINK, SET_COUNT, COMPARE, JNE_REUSE, REUSE, RENEW], 17, RBX),
        (&[LOAD_CLASS, LINK_VECTOR, SET_COUNT, COMPARE_LOADED, JE_RENEW, RENEW, REUSE], 15, RBX),
        (&[COMPARE, SET_COUNT, LINK, JE_RENEW, RENEW, REUSE], 17, RBX),
        (&[SET_COUNT, LINK, COMPARE_LOADED, JE_RENEW, RENEW, REUSE], 16, RBX),
        (&[LINK, COMPARE, SET_COUNT, JE_RENEW, RENEW_2, REUSE], 17, RBX),
        (&[LINK, COMPARE_3, SET_COUNT, JE_RENEW, RENEW_2, REUSE], 18, CLASS_3),
        (&[LINK, COMPARE_LOADED, SET_COUNT, JE_RENEW, RENEW_2, REUSE], 16, UNKNOWN),
    ];
    for (pieces, offset, size_class) in cases {
        assert_eq!(sites_in(pieces), [site(*offset, *size_class, true)]);
    }
}

#[test]
fn a_copy_without_the_question_is_probed_at_its_jump_or_its_last_store() {
    let jump: &[u8] = &[0xeb, 0x01, 0x90];
    assert_eq!(
        sites_in(&[LINK, SET_COUNT, jump, RENEW]),
        [site(14, RBX, true)]
    );
    assert_eq!(sites_in(&[LINK, SET_COUNT, RENEW]), [site(8, RBX, false)]);
    assert_eq!(
        sites_in(&[SET_COUNT, LINK, REUSE]),
        [site(10, SizeClass::Header, false)]
    );
}

#[test]
fn paths_that_meet_before_the_question_have_one_site() {
    // The first copy jumps to the comparison in the second.
    let jump: &[u8] = &[0xeb, 14];
    let pieces = [
        LINK, SET_COUNT, jump, LINK, SET_COUNT, COMPARE, JE_RENEW, RENEW, REUSE,
    ];
    assert_eq!(sites_in(&pieces), [site(33, RBX, true)]);
}

#[test]
fn what_only_looks_like_a_pool_is_none() {
    let other_link: &[u8] = &[0x48, 0x89, 0x50, 0x10, 0x48, 0x89, 0x48, 0x18];
    let overwrite: &[u8] = &[0x48, 0x89, 0xf0]; // mov %rsi, %rax
    let call: &[u8] = &[0xe8, 0, 0, 0, 0];
    let cases: &[&[&[u8]]] = &[
        &[SET_COUNT, COMPARE, JE_RENEW, RENEW, REUSE],
        &[LINK, COMPARE, JE_RENEW, RENEW, REUSE],
        &[other_link, SET_COUNT, COMPARE, JE_RENEW, RENEW, REUSE],
        &[LINK, overwrite, SET_COUNT, COMPARE, JE_RENEW, RENEW, REUSE],
        &[LINK, SET_COUNT, overwrite, COMPARE, JE_RENEW, RENEW, REUSE],
        &[LINK, SET_COUNT, call, COMPARE, JE_RENEW, RENEW, REUSE],
        &[LINK, SET_COUNT, COMPARE, &[0xc3], RENEW, REUSE],
        &[LINK, SET_COUNT],
        &[],
    ];
    for pieces in cases {
        assert_eq!(sites_in(pieces), [], "{pieces:x?}");
    }
}

#[test]
fn a_way_may_lead_to_another_segment() {
    let hot = [LINK, SET_COUNT, COMPARE, &[0x0f, 0x84, 0xe9, 0x0f, 0, 0]].concat();
    let cold = REUSE.to_vec();
    let found = find(&[
        Segment {
            address: START,
            bytes: &hot,
        },
        Segment {
            address: START + 0x1000,
            bytes: &cold,
        },
    ]);
    assert_eq!(found, [site(17, SizeClass::Register(3), true)]);
}

#[test]
fn a_file_made_of_pools_is_not_looked_at_forever() {
    let copies = [LINK, SET_COUNT, RENEW].concat().repeat(LOOK_LIMIT + 5);
    assert_eq!(sites_in(&[&copies]).len(), LOOK_LIMIT);
}

proptest! {
    #[test]
    fn any_mixture_of_code_is_read_without_a_panic(
        pieces in vec(
            prop_oneof![
                6 => select(vec![
                    LINK, LINK_VECTOR, SET_COUNT, LOAD_CLASS, COMPARE, COMPARE_LOADED,
                    COMPARE_3, JE_RENEW, JNE_REUSE, RENEW, RENEW_2, REUSE,
                    &[0xeb, 0x02], &[0xeb, 0xf0],
                ]).prop_map(<[u8]>::to_vec),
                1 => vec(any::<u8>(), 0..8),
            ],
            0..16,
        ),
        address: u64,
    ) {
        let bytes = pieces.concat();
        let code = [Segment { address, bytes: &bytes }];
        for site in find(&code) {
            let offset = usize::try_from(site.address.wrapping_sub(address)).unwrap();
            prop_assert!(offset < bytes.len());
            prop_assert!(site.pool < 16);
            let is_branch = matches!(bytes[offset], 0x0f | 0x70..=0x7f | 0xeb | 0xe9 | 0xf2);
            prop_assert_eq!(site.is_emulated, is_branch && bytes[offset..].get(1) != Some(&0x11));
        }
    }
}
