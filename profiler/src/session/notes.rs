//! What a person should know about how a recording was made.

use super::{followed::Followed, tracker::Tracker};
use crate::units::Pid;

/// What was observed only part of the time, and where that makes figures doubtful.
pub(super) fn sampling_notes(tracker: &Tracker) -> Vec<String> {
    let crowded = tracker.sampled(Followed::has_crowded_windows);
    let sampled = [
        (
            "blocks over 512 bytes",
            tracker.sampled(Followed::has_sampled_blocks),
        ),
        (
            "new pools of small objects",
            tracker.sampled(Followed::has_sampled_pools),
        ),
    ];
    let samples = sampled.iter().filter(|(_, pids)| !pids.is_empty());
    let notes = samples.map(|(what, pids)| {
        format!(
            "{what} were observed only part of the time, to keep to the budget; their figures \
             are estimates (process {})",
            list(pids)
        )
    });
    let crowding = (!crowded.is_empty()).then(|| {
        format!(
            "blocks came so fast that probes took most of the time in which they were open: \
             estimates may be several times too low; a larger --max-overhead makes them better \
             (process {})",
            list(&crowded)
        )
    });
    notes.chain(crowding).collect()
}

fn list(pids: &[Pid]) -> String {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    pids.join(", ")
}
