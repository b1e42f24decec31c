//! Many files at once, each on one thread of a few.
//!
//! The caller's thread hands out and takes back; threads called "worker" do the work. Always: what is handed out and not
//! yet taken back is bounded; when this returns, nothing is under way any more.

use super::failure::{Exit, Failure};
use crate::base::thread;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Threads at most, whatever is asked for.
const THREADS_MAX: usize = 64;

/// Jobs handed out for each thread: one that it works on, and one that waits.
const JOBS_PER_THREAD: usize = 2;

/// Does `work` for each job, and gives what comes of it to `take`, in the order in which it is done. A job that is a
/// failure already is taken as it is. The first error of `take` ends it, after what is under way.
///
/// # Errors
/// That of `take`, and of the system when it gives no thread.
pub fn each<J: Send + 'static, D: Send + 'static>(
    threads: usize,
    jobs: impl Iterator<Item = Result<J, Failure>>,
    work: impl Fn(J) -> Result<D, Failure> + Send + Sync + 'static,
    mut take: impl FnMut(Result<D, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let threads = threads.clamp(1, THREADS_MAX);
    let out_max = threads * JOBS_PER_THREAD;
    let (hand_out, jobs_of_workers) = bounded(out_max);
    let (done, take_back) = bounded(out_max);
    let work = Arc::new(work);
    let mut outcome = Ok(());
    let mut out = 0;
    let mut started = 0;
    for job in jobs {
        let job = match job {
            Ok(job) => job,
            Err(failure) => {
                outcome = take(Err(failure));
                if outcome.is_err() {
                    break;
                }
                continue;
            }
        };
        if started < threads {
            outcome = start(&work, &jobs_of_workers, &done);
            started += 1;
        }
        while out >= out_max && outcome.is_ok() {
            outcome = take_back.recv().map_err(|_| died()).and_then(&mut take);
            out -= 1;
        }
        if outcome.is_err() || hand_out.send(job).is_err() {
            break;
        }
        out += 1;
        while let Ok(done) = take_back.try_recv() {
            out -= 1;
            outcome = outcome.and_then(|()| take(done));
        }
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_err() {
        jobs_of_workers.try_iter().for_each(drop);
    }
    drop((hand_out, done));
    for done in take_back {
        outcome = outcome.and_then(|()| take(done));
    }
    outcome
}

fn start<J: Send + 'static, D: Send + 'static>(
    work: &Arc<impl Fn(J) -> Result<D, Failure> + Send + Sync + 'static>,
    jobs: &Receiver<J>,
    done: &Sender<Result<D, Failure>>,
) -> Result<(), Failure> {
    let (work, jobs, done) = (Arc::clone(work), jobs.clone(), done.clone());
    let body = move || {
        for job in jobs {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(job))).unwrap_or_else(|_| Err(died()));
            if done.send(outcome).is_err() {
                return;
            }
        }
    };
    thread::spawn("worker", body)
        .map(drop)
        .map_err(|error| Failure::new(Exit::Failed, format!("the system gives no thread: {error}")))
}

fn died() -> Failure {
    Failure::new(Exit::Failed, "a worker panicked: this is a bug")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(jobs: usize, stop_at: usize) -> (Vec<usize>, Result<(), Failure>) {
        let mut taken = Vec::new();
        let work = |n: usize| if n % 7 == 3 { Err(Failure::new(Exit::NotFound, n.to_string())) } else { Ok(n) };
        let outcome = each(4, (0..jobs).map(Ok), work, |done| {
            if let Ok(n) = done {
                taken.push(n);
            }
            if taken.len() == stop_at { Err(Failure::OutputClosed) } else { Ok(()) }
        });
        taken.sort_unstable();
        (taken, outcome)
    }

    #[test]
    fn every_job_is_done_once() {
        for jobs in [0, 1, 7, 1000] {
            let (taken, outcome) = run(jobs, usize::MAX);
            assert_eq!(outcome, Ok(()));
            assert_eq!(taken, (0..jobs).filter(|n| n % 7 != 3).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_end_in_the_middle_is_one() {
        let (taken, outcome) = run(1000, 5);
        assert_eq!((taken.len(), outcome), (5, Err(Failure::OutputClosed)));
    }

    #[test]
    fn a_panic_is_a_failure_of_one_job() {
        let mut lines = Vec::new();
        let work = |n: usize| if n == 3 { panic!("as the test says") } else { Ok(n) };
        let outcome = each(2, (0..10).map(Ok), work, |done| {
            lines.extend(done.err());
            Ok(())
        });
        assert_eq!((outcome, lines), (Ok(()), vec![died()]));
    }
}
