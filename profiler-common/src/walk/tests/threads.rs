//! Whose thread state it is.

use crate::{
    fake::{FakeMemory, LAYOUT},
    walk::{MAX_THREAD_STATES, find_thread_state},
};

/// The words that point to the holder of the GIL and to the first thread state.
const HOLDER: u64 = 0x100;
const HEAD: u64 = 0x200;

/// What `pthread_self()` is in the thread that is asked for, and in another one.
const OWN_ID: u64 = 0x7f00_0000_1000;
const OTHER_ID: u64 = 0x7f00_0000_2000;

const OWN: u64 = 0x1000;
const OTHER: u64 = 0x2000;

/// Where the thread state with this number in a list is.
fn state_at(number: usize) -> u64 {
    0x10_0000 + 0x100 * number as u64
}

fn find(memory: &FakeMemory, remembered: u64) -> Option<u64> {
    search(memory, remembered, 0).ok()
}

fn search(memory: &FakeMemory, remembered: u64, searched: u64) -> Result<u64, u64> {
    find_thread_state(memory, &LAYOUT, HOLDER, remembered, HEAD, searched, OWN_ID)
}

/// A process in which `holder` has the GIL and whose list starts with `head`.
fn process(holder: u64, head: u64) -> FakeMemory {
    FakeMemory::default().word(HOLDER, holder).word(HEAD, head)
}

/// A list of thread states of which only the last one is the thread's.
fn list(length: usize) -> FakeMemory {
    let mut memory = process(0, state_at(0));
    for number in 0..length {
        let is_last = number + 1 == length;
        let (id, next) = if is_last {
            (OWN_ID, 0)
        } else {
            (OTHER_ID, state_at(number + 1))
        };
        memory = memory.thread(state_at(number), id, next);
    }
    memory
}

#[test]
fn the_holder_of_the_gil_is_the_thread_itself_most_of_the_time() {
    let memory = process(OWN, 0).thread(OWN, OWN_ID, 0);
    assert_eq!(find(&memory, 0), Some(OWN));
    assert_eq!(memory.reads(), 2, "the holder, and whose it is");
}

#[test]
fn when_another_thread_holds_the_gil_the_remembered_state_is_taken() {
    // There is no list to look through.
    let memory = FakeMemory::default()
        .word(HOLDER, OTHER)
        .thread(OTHER, OTHER_ID, 0)
        .thread(OWN, OWN_ID, 0);
    assert_eq!(find(&memory, OWN), Some(OWN));
}

#[test]
fn when_nobody_holds_the_gil_the_remembered_state_is_taken() {
    let memory = FakeMemory::default().word(HOLDER, 0).thread(OWN, OWN_ID, 0);
    assert_eq!(find(&memory, OWN), Some(OWN));
}

#[test]
fn a_remembered_state_that_became_another_threads_is_refused() {
    let memory = process(OTHER, 0).thread(OTHER, OTHER_ID, 0);
    assert_eq!(find(&memory, OTHER), None);
}

#[test]
fn a_remembered_state_that_is_gone_is_refused_and_the_new_one_found() {
    let memory = process(0, OWN).thread(OWN, OWN_ID, 0);
    assert_eq!(find(&memory, OTHER), Some(OWN));
}

#[test]
fn a_state_at_address_zero_is_never_believed() {
    let memory = process(0, 0).thread(0, OWN_ID, 0);
    assert_eq!(find(&memory, 0), None);
}

#[test]
fn the_list_is_searched_for_a_thread_that_is_not_known_yet() {
    for length in 1..5 {
        assert_eq!(find(&list(length), 0), Some(state_at(length - 1)));
    }
}

#[test]
fn a_thread_that_runs_no_python_is_in_no_list() {
    let memory = process(OTHER, OTHER).thread(OTHER, OTHER_ID, 0);
    assert_eq!(find(&memory, 0), None);
    assert_eq!(find(&process(0, 0), 0), None);
}

#[test]
fn the_search_gives_up_after_a_number_of_thread_states() {
    let last = state_at(MAX_THREAD_STATES - 1);
    assert_eq!(find(&list(MAX_THREAD_STATES), 0), Some(last));
    assert_eq!(find(&list(MAX_THREAD_STATES + 1), 0), None);
}

#[test]
fn a_list_that_was_searched_in_vain_is_searched_again_when_it_has_grown() {
    let memory = list(3)
        .thread(state_at(2), OTHER_ID, 0)
        .thread(OTHER, OTHER_ID, 0);
    assert_eq!(search(&memory, 0, 0), Err(state_at(0)));
    let before = memory.reads();
    assert_eq!(search(&memory, 0, state_at(0)), Err(state_at(0)));
    assert_eq!(
        memory.reads() - before,
        3,
        "the holder, the head, its thread"
    );

    let another = memory
        .clone()
        .word(HEAD, OTHER)
        .thread(OTHER, OTHER_ID, state_at(0));
    assert_eq!(search(&another, 0, state_at(0)), Err(OTHER));
    let own = another.thread(OTHER, OWN_ID, state_at(0));
    assert_eq!(search(&own, 0, state_at(0)), Ok(OTHER));
    let at_the_same_place = memory.thread(state_at(0), OWN_ID, state_at(1));
    assert_eq!(search(&at_the_same_place, 0, state_at(0)), Ok(state_at(0)));
}

#[test]
fn a_list_that_goes_round_is_left() {
    let memory = process(0, OTHER)
        .thread(OTHER, OTHER_ID, OTHER + 0x100)
        .thread(OTHER + 0x100, OTHER_ID, OTHER);
    assert_eq!(find(&memory, 0), None);
    assert_eq!(memory.reads(), 1 + 2 * MAX_THREAD_STATES);
}

#[test]
fn a_list_that_breaks_off_finds_nothing() {
    let memory = process(0, OTHER);
    assert_eq!(find(&memory, 0), None, "its first state cannot be read");
    let memory = memory.thread(OTHER, OTHER_ID, OTHER + 0x100);
    assert_eq!(find(&memory, 0), None, "its second state cannot be read");
    assert_eq!(find(&FakeMemory::default(), 0), None, "there is no list");
}

#[test]
fn a_fault_anywhere_gives_the_right_thread_state_or_none() {
    let mut lost = 0;
    for (remembered, holder) in [
        (0, 0),
        (OTHER, OTHER),
        (state_at(3), OTHER),
        (0, state_at(3)),
    ] {
        let memory = list(4).word(HOLDER, holder).thread(OTHER, OTHER_ID, 0);
        assert_eq!(find(&memory, remembered), Some(state_at(3)));
        for read in 0..memory.reads() {
            let found = find(&memory.clone().fail_at(read), remembered);
            lost += usize::from(found.is_none());
            assert!(
                found.is_none_or(|state| state == state_at(3)),
                "read {read}: {found:x?}"
            );
        }
    }
    assert!(lost > 0, "no fault did any harm");
}

#[test]
fn one_fault_on_the_way_to_the_holder_is_made_up_for() {
    let memory = process(OWN, OWN).thread(OWN, OWN_ID, 0);
    for read in 0..2 {
        assert_eq!(find(&memory.clone().fail_at(read), 0), Some(OWN));
    }
}
