//! What to do about a pattern: specific to the site, the worker or the setting.

use super::Pattern;

/// Next steps for a pattern, the most useful first. `site` names the line that matters most, if one
/// is known, and `who` the process, or what all are.
pub(super) fn next_steps(pattern: Pattern, site: Option<&str>, who: &str) -> Vec<String> {
    let mut steps: Vec<String> = site.map(|it| look_at(pattern, it)).into_iter().collect();
    steps.extend(general(pattern, who).into_iter().map(ToOwned::to_owned));
    steps.retain(|it| !it.is_empty());
    steps
}

/// What to ask of a line.
fn look_at(pattern: Pattern, site: &str) -> String {
    match pattern {
        Pattern::RetainedGrowth | Pattern::IdleGrowth => format!(
            "look at {site}: what keeps its objects alive, a dict or list that only gets longer?"
        ),
        Pattern::TrafficGrowth => format!(
            "look at {site}: what is kept of each request? bound it, for example by \
             functools.lru_cache(maxsize=…), or drop it when the response is sent"
        ),
        Pattern::CacheFill => {
            format!("if the level is too high, give the cache that {site} fills a smaller maxsize")
        }
        Pattern::PayloadSpikes => format!(
            "look at {site}: process the payload in pieces (stream, iterate, read in chunks) \
             instead of holding all of it"
        ),
        Pattern::IdleRetention => {
            format!("look at {site}: what still refers to its objects, now that the work is done?")
        }
        Pattern::AllocatorRetention => format!(
            "look at {site}: smaller peaks there leave less behind (stream, or work in chunks)"
        ),
        Pattern::Steady | Pattern::Undecided => String::new(),
        Pattern::WorkerDuplication | Pattern::WorkerCountStep | Pattern::Mixed => {
            format!("look at {site}: it retains more than any other line")
        }
    }
}

/// What helps whatever the line is.
fn general(pattern: Pattern, who: &str) -> Vec<&'static str> {
    let is_worker = who.contains("gunicorn") || who.contains("celery") || who.contains("uvicorn");
    let recycle = if who.contains("celery") {
        "until it is fixed, --max-tasks-per-child bounds a worker's size"
    } else {
        "until it is fixed, max_requests with max_requests_jitter bounds a worker's size"
    };
    match pattern {
        Pattern::RetainedGrowth | Pattern::TrafficGrowth | Pattern::IdleGrowth if is_worker => {
            vec![recycle]
        }
        Pattern::IdleGrowth => {
            vec!["look at what runs by itself: background tasks, timers, threads that poll"]
        }
        Pattern::RetainedGrowth | Pattern::TrafficGrowth => {
            vec!["record again after the fix, and compare the two recordings with heaptide diff"]
        }
        Pattern::CacheFill => vec!["nothing has to be done if this level is what you planned for"],
        Pattern::PayloadSpikes => {
            vec!["limit how many such jobs run at once: peaks that coincide add up"]
        }
        Pattern::WorkerDuplication => vec![
            "load the application before forking (gunicorn --preload), and call gc.freeze() before \
             the fork, so that workers share what they only read",
            "or run fewer workers, with threads or an event loop in each",
        ],
        Pattern::WorkerCountStep => vec![
            "check what sets the number of workers (autoscaling, --workers, a pool's size): each \
             further one costs as much again",
            "load the application before forking (gunicorn --preload, gc.freeze()), so that a \
             further worker costs less",
        ],
        Pattern::IdleRetention => {
            vec!["if it is a result that nobody needs any more, delete it, or let it expire"]
        }
        Pattern::AllocatorRetention => vec![
            "it is not a leak in Python: try MALLOC_ARENA_MAX=2, or malloc_trim(0) by ctypes after \
             the peak; where small objects hold the arenas, only a smaller peak or a new process \
             helps",
        ],
        Pattern::Mixed => vec!["take the largest part first, then record again"],
        Pattern::Steady => vec!["nothing has to be done"],
        Pattern::Undecided => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_but_undecided_has_advice() {
        for pattern in Pattern::ALL {
            let steps = next_steps(pattern, Some("leak (app.py:4)"), "python");
            assert_eq!(
                steps.is_empty(),
                pattern == Pattern::Undecided,
                "{pattern:?}"
            );
        }
    }

    #[test]
    fn advice_names_the_line_and_the_setting() {
        let steps = next_steps(
            Pattern::RetainedGrowth,
            Some("leak (app.py:4)"),
            "gunicorn: x",
        );
        assert!(steps[0].contains("leak (app.py:4)") && steps[1].contains("max_requests"));
        let steps = next_steps(Pattern::TrafficGrowth, None, "celery worker");
        assert!(steps[0].contains("--max-tasks-per-child"));
        assert!(next_steps(Pattern::WorkerDuplication, None, "x")[0].contains("--preload"));
    }
}
