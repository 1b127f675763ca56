//! The pattern of all processes together.

use super::{Pattern, opinion::Opinion, signals::float, thresholds as limit};
use crate::aggregate::{Findings, ProcessFinding};

/// What is thought of all processes together, and the numbers behind it. Processes are numbers in
/// [`Findings::processes`].
#[derive(Clone, Debug, Default)]
pub(super) struct GroupOpinion {
    /// The pattern.
    pub(super) pattern: Option<Pattern>,
    /// How sure that is, 0 to 1.
    pub(super) confidence: f64,
    /// The parts of a mixture, with their shares.
    pub(super) parts: Vec<(Pattern, f64)>,
    /// How many more seconds to record, if too little is known.
    pub(super) longer: f64,
    /// Those that the pattern is of, the one that counts most first.
    pub(super) concerned: Vec<usize>,
    /// Those that started after the recording had begun, and how large they are in all.
    pub(super) started: (Vec<usize>, f64),
}

impl GroupOpinion {
    pub(super) fn of(findings: &Findings, opinions: &[Opinion]) -> Self {
        let started = started(findings);
        let growth: Vec<f64> = opinions
            .iter()
            .map(|it| it.measures.rise().max(0.0))
            .collect();
        let whole: f64 = growth.iter().sum::<f64>() + started.1;
        let mut order: Vec<usize> = (0..opinions.len()).collect();
        order.sort_by(|a, b| growth[*b].total_cmp(&growth[*a]));
        if let Some(step) = by_step(findings, opinions, (&order, &growth), &started) {
            return step;
        }
        let growers: Vec<usize> = (order.iter().copied())
            .filter(|it| opinions[*it].pattern.is_some_and(is_growth))
            .filter(|it| growth[*it] >= 0.05 * whole)
            .collect();
        if !growers.is_empty() {
            return of_growers(opinions, &growers, &growth);
        }
        let calm = order.iter().copied();
        let most_telling = calm.min_by_key(|it| rank(opinions[*it].pattern));
        let Some(told) = most_telling else {
            return Self {
                longer: limit::ENOUGH_SECONDS,
                ..Self::default()
            };
        };
        if opinions[told].pattern == Some(Pattern::Steady)
            && let Some(fleet) = fleet(findings, opinions)
        {
            return fleet;
        }
        let same = order.iter().copied();
        Self {
            concerned: same
                .filter(|it| opinions[*it].pattern == opinions[told].pattern)
                .collect(),
            ..Self::like(&opinions[told])
        }
    }

    fn like(opinion: &Opinion) -> Self {
        Self {
            pattern: opinion.pattern,
            confidence: opinion.confidence,
            parts: opinion.parts.clone(),
            longer: opinion.longer,
            ..Self::default()
        }
    }
}

/// Patterns in which memory becomes more.
const fn is_growth(pattern: Pattern) -> bool {
    !matches!(
        pattern,
        Pattern::Steady | Pattern::PayloadSpikes | Pattern::Undecided
    )
}

/// What is said of all if processes differ and none grows: the smallest is.
const fn rank(pattern: Option<Pattern>) -> u8 {
    match pattern {
        Some(Pattern::AllocatorRetention) => 0,
        Some(Pattern::PayloadSpikes) => 1,
        None => 2,
        Some(_) => 3,
    }
}

/// Those that started late, if there are more processes at the end than there were.
fn started(findings: &Findings) -> (Vec<usize>, f64) {
    let processes = || findings.processes.iter().enumerate();
    let late = |it: &ProcessFinding| it.started.as_secs_f64() > limit::FLEET_STARTS;
    let ended = processes()
        .filter(|(_, it)| it.ended.is_some() && !late(it))
        .count();
    let mut started: Vec<usize> = processes()
        .filter(|(_, it)| it.ended.is_none() && late(it))
        .map(|(number, _)| number)
        .collect();
    // Those that take the place of others are no more than there were.
    started.drain(..ended.min(started.len()));
    let size = |it: &usize| {
        let process = &findings.processes[*it];
        process.uss_end.or(process.rss_end).map_or(0.0, float)
    };
    let sizes = started.iter().map(size).sum();
    (started, sizes)
}

/// The step of those that started, if it is most of the growth.
fn by_step(
    findings: &Findings,
    opinions: &[Opinion],
    (order, growth): (&[usize], &[f64]),
    started: &(Vec<usize>, f64),
) -> Option<GroupOpinion> {
    let (numbers, size) = started;
    let others = order.iter().filter(|it| !numbers.contains(it));
    let others: Vec<usize> = others.copied().collect();
    let rest: f64 = others.iter().map(|it| growth[*it]).sum();
    let share = size / (size + rest).max(1.0);
    if numbers.is_empty() || *size < limit::MATTERS || share < limit::STEP_SHARE {
        return None;
    }
    let sure = limit::sure_after(findings.duration.as_secs_f64());
    let is_part = 1.0 - share >= limit::PART;
    let mut concerned = others.iter().copied().filter(|_| is_part);
    let leaking = concerned.find(|it| opinions[*it].pattern.is_some_and(is_growth));
    let step = GroupOpinion {
        pattern: Some(Pattern::WorkerCountStep),
        confidence: sure,
        concerned: numbers.clone(),
        started: started.clone(),
        ..GroupOpinion::default()
    };
    let Some(pattern) = leaking.and_then(|it| opinions[it].pattern) else {
        // What grew beside it, and is not understood yet, may be a leak.
        let open = others.first().map(|it| &opinions[*it]);
        let open = open.filter(|it| is_part && it.pattern.is_none());
        return Some(open.map_or(step, GroupOpinion::like));
    };
    Some(GroupOpinion {
        pattern: Some(Pattern::Mixed),
        confidence: 0.85 * sure,
        parts: vec![(Pattern::WorkerCountStep, share), (pattern, 1.0 - share)],
        concerned: leaking.into_iter().chain(numbers.iter().copied()).collect(),
        ..step
    })
}

/// Of processes that grow, the one that grows most first.
fn of_growers(opinions: &[Opinion], growers: &[usize], growth: &[f64]) -> GroupOpinion {
    let whole: f64 = growers.iter().map(|it| growth[*it]).sum();
    let mut parts: Vec<(Pattern, f64)> = Vec::new();
    for number in growers {
        let opinion = &opinions[*number];
        let Some(pattern) = opinion.pattern else {
            continue;
        };
        let single = [(pattern, 1.0)];
        let of_one = if opinion.parts.is_empty() {
            &single[..]
        } else {
            &opinion.parts
        };
        for (pattern, share) in of_one {
            let share = share * growth[*number] / whole.max(1.0);
            match parts.iter_mut().find(|it| it.0 == *pattern) {
                Some(part) => part.1 += share,
                None => parts.push((*pattern, share)),
            }
        }
    }
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    // However high peaks are, what stays is below them.
    let grows_most = parts.iter().map(|it| it.0).find(|it| is_growth(*it));
    parts.retain(|it| it.1 >= limit::PART || Some(it.0) == grows_most);
    let confidence = opinions[growers[0]].confidence;
    let (pattern, parts) = match parts.as_slice() {
        [(pattern, _)] => (Some(*pattern), Vec::new()),
        [] => (opinions[growers[0]].pattern, Vec::new()),
        _ => (Some(Pattern::Mixed), parts),
    };
    GroupOpinion {
        pattern,
        confidence,
        parts,
        concerned: growers.to_vec(),
        ..GroupOpinion::default()
    }
}

/// Several processes of one kind that are steady, and large in all.
fn fleet(findings: &Findings, opinions: &[Opinion]) -> Option<GroupOpinion> {
    let processes = || findings.processes.iter().enumerate();
    let is_of = |parent, it: &ProcessFinding| it.parent == parent && it.ended.is_none();
    let size = |it: &ProcessFinding| it.uss_end.map_or(0.0, float);
    let kinds = processes().map(|(_, first)| -> Vec<usize> {
        processes()
            .filter(|(_, it)| is_of(first.parent, it) && size(it) >= limit::FLEET_PRIVATE)
            .map(|(number, _)| number)
            .collect()
    });
    let fleet = kinds.max_by_key(Vec::len)?;
    let sum = |of: &dyn Fn(&ProcessFinding) -> f64| -> f64 {
        fleet.iter().map(|it| of(&findings.processes[*it])).sum()
    };
    let private = sum(&size);
    let all = sum(&|it| it.pss_end.or(it.rss_end).map_or(0.0, float));
    if fleet.len() < limit::FLEET || private < limit::FLEET_SHARE * all {
        return None;
    }
    let least = fleet.iter().map(|it| opinions[*it].confidence);
    Some(GroupOpinion {
        pattern: Some(Pattern::WorkerDuplication),
        confidence: 0.97 * least.fold(1.0, f64::min),
        concerned: fleet,
        ..GroupOpinion::default()
    })
}
