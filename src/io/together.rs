//! Work on several disks at once, of which any may hang: each on a thread of its own, and none waited for that stands still.
//!
//! Runs on the thread that builds the node. Always: what ends too late is dropped on the thread that ended it.

use crate::base::progress::Progress;
use crate::base::thread;
use crossbeam_channel::{RecvTimeoutError, bounded};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What is known of one piece of work.
struct Watched<T> {
    progress: Arc<Progress>,
    seen: u64,
    moved: Instant,
    end: Option<T>,
    is_given_up: bool,
}

/// Does `work` with all items at once; `None` for one that made no progress for `stall`, or died.
///
/// # Errors
/// When the system gives no thread; what is under way ends unseen.
pub(super) fn together<I: Send + 'static, T: Send + 'static>(
    role: &str,
    items: Vec<I>,
    stall: Duration,
    work: impl Fn(I, &Progress) -> T + Send + Sync + 'static,
) -> io::Result<Vec<Option<T>>> {
    let work = Arc::new(work);
    // Room for all, so that no thread waits to tell.
    let (sender, receiver) = bounded(items.len().max(1));
    let mut watched = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let progress = Arc::new(Progress::default());
        let (sender, work, moving) = (sender.clone(), Arc::clone(&work), Arc::clone(&progress));
        thread::spawn(role, move || {
            let end = work(item, &moving);
            // Nobody listens any more when all others were given up or done.
            let _late = sender.send((index, end));
        })?;
        watched.push(Watched { progress, seen: 0, moved: Instant::now(), end: None, is_given_up: false });
    }
    drop(sender);
    while watched.iter().any(|one| one.end.is_none() && !one.is_given_up) {
        match receiver.recv_timeout(LOOK) {
            Ok((index, end)) => {
                if let Some(one) = watched.get_mut(index).filter(|one| !one.is_given_up) {
                    one.end = Some(end);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        for one in watched.iter_mut().filter(|one| one.end.is_none()) {
            let now = one.progress.value();
            if now != one.seen {
                (one.seen, one.moved) = (now, Instant::now());
            }
            one.is_given_up |= one.moved.elapsed() >= stall;
        }
    }
    Ok(watched.into_iter().map(|one| one.end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_stands_still_is_left_behind_and_one_that_moves_is_waited_for() {
        let (release, held) = bounded::<()>(0);
        let ended = together("test", vec![0, 1, 2, 3], Duration::from_millis(200), move |item, progress| {
            match item {
                // Until the sender is gone.
                0 => drop(held.recv()),
                1 => {
                    for _step in 0..30 {
                        std::thread::sleep(Duration::from_millis(20));
                        progress.advance();
                    }
                }
                2 => panic!("one that dies"),
                _ => {}
            }
            item
        });
        assert_eq!(ended.unwrap(), [None, Some(1), None, Some(3)]);
        drop(release);
    }
}
