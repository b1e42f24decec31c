//! The bounded queue of completions of one processor, with one wake for many posts.
//!
//! Posted to by any thread, drained by its owner. Always: a post never waits and never fails, because its place was
//! taken when the work was submitted; places taken plus free is the capacity. The owner is woken only when it has
//! said that it is about to sleep, and only by the first post since. A worker that ends a whole group posts within
//! [`together`], and the owner is woken after the last: woken by the first it would answer them one by one.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Ends the owner's sleep; called from any thread.
pub trait Wake: Send + Sync {
    /// Makes the owner's current or next sleep end at once.
    fn wake(&self);
}

thread_local! {
    /// The mailboxes that were posted to within [`together`], each once.
    static POSTED: RefCell<Option<Vec<Arc<dyn Sleeper>>>> = const { RefCell::new(None) };
}

/// An owner that may sleep.
trait Sleeper {
    fn end_sleep(&self);
}

impl<T: Send + 'static> Sleeper for Mailbox<T> {
    fn end_sleep(&self) {
        self.wake_if_asleep();
    }
}

/// Runs `post`, and wakes the owners of the mailboxes that it posted to once it is done. To be used where nothing in it
/// waits.
pub fn together<R>(post: impl FnOnce() -> R) -> R {
    /// Also when `post` panics, nobody is left asleep over what was posted.
    struct Wakes;
    impl Drop for Wakes {
        fn drop(&mut self) {
            let posted = POSTED.with_borrow_mut(Option::take);
            posted.into_iter().flatten().for_each(|mailbox| mailbox.end_sleep());
        }
    }
    POSTED.with_borrow_mut(|posted| _ = posted.get_or_insert_default());
    let _wakes = Wakes;
    post()
}

/// The shared side of a mailbox.
pub struct Mailbox<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
    taken: AtomicUsize,
    capacity: usize,
    asleep: AtomicBool,
    wake: Box<dyn Wake>,
    wakes: AtomicUsize,
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("taken", &self.taken).field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl<T> Mailbox<T> {
    /// A mailbox with places for `capacity` pieces of unfinished work.
    #[must_use]
    pub fn new(capacity: usize, wake: Box<dyn Wake>) -> Arc<Self> {
        let (sender, receiver) = bounded(capacity);
        Arc::new(Self {
            sender,
            receiver,
            taken: AtomicUsize::new(0),
            capacity,
            asleep: AtomicBool::new(false),
            wake,
            wakes: AtomicUsize::new(0),
        })
    }

    /// Takes a place for work about to be submitted; `None` when all are taken.
    #[must_use]
    pub fn place(self: &Arc<Self>) -> Option<Place<T>> {
        let taken = self.taken.fetch_add(1, Ordering::AcqRel);
        if taken >= self.capacity {
            self.taken.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Place { mailbox: Arc::clone(self), open: true })
    }

    /// The next message, if one is here. Owner only.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        let message = self.receiver.try_recv().ok()?;
        self.taken.fetch_sub(1, Ordering::AcqRel);
        Some(message)
    }

    /// Says that the owner is about to sleep. Returns false if a message is here already: then do not sleep.
    #[must_use]
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        // A post between the last take and the store above saw an owner awake, and did not wake it.
        if self.receiver.is_empty() {
            return true;
        }
        self.asleep.store(false, Ordering::SeqCst);
        false
    }

    /// Says that the owner is awake: posts need not wake it.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Ends the owner's sleep without a message.
    pub fn nudge(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        self.wake.wake();
    }

    /// Ends the owner's sleep if it has said that it sleeps: what a second queue of the same owner calls after a push.
    pub fn wake_if_asleep(&self) {
        // With the fence in `fall_asleep`'s store and load: either the owner sees the message, or this sees it asleep.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.wakes.fetch_add(1, Ordering::Relaxed);
            self.wake.wake();
        }
    }

    /// Messages that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.receiver.len()
    }

    /// Places taken by work that has not been drained.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// How often the owner was woken by a post.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.wakes.load(Ordering::Relaxed)
    }
}

/// The right to post one message.
#[derive(Debug)]
pub struct Place<T> {
    mailbox: Arc<Mailbox<T>>,
    open: bool,
}

impl<T: Send + 'static> Place<T> {
    /// Posts the message, and wakes the owner if it sleeps; within [`together`] later.
    pub fn post(mut self, message: T) {
        self.open = false;
        // The channel holds `capacity` messages and a place is taken for each, so this cannot be full; the receiver
        // lives in the mailbox that this place keeps alive.
        let sent = self.mailbox.sender.try_send(message);
        debug_assert!(sent.is_ok(), "a place is room in the channel");
        let is_noted = POSTED.with_borrow_mut(|posted| match posted {
            Some(posted) => {
                let address = Arc::as_ptr(&self.mailbox).cast::<()>();
                if !posted.iter().any(|noted| Arc::as_ptr(noted).cast::<()>() == address) {
                    let mailbox: Arc<dyn Sleeper> = Arc::<Mailbox<T>>::clone(&self.mailbox);
                    posted.push(mailbox);
                }
                true
            }
            None => false,
        });
        if !is_noted {
            self.mailbox.wake_if_asleep();
        }
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        if self.open {
            self.mailbox.taken.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counted(Arc<AtomicUsize>);

    impl Wake for Counted {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_posted_together_wakes_at_the_end() {
        let (wakes, other_wakes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mailbox = Mailbox::new(8, Box::new(Counted(Arc::clone(&wakes))));
        let other = Mailbox::new(8, Box::new(Counted(Arc::clone(&other_wakes))));
        assert!(mailbox.fall_asleep() && other.fall_asleep());
        together(|| {
            for number in 0..3 {
                mailbox.place().unwrap().post(number);
                other.place().unwrap().post(number);
            }
            assert_eq!((wakes.load(Ordering::SeqCst), other_wakes.load(Ordering::SeqCst)), (0, 0));
            assert_eq!(mailbox.depth(), 3);
        });
        assert_eq!((wakes.load(Ordering::SeqCst), other_wakes.load(Ordering::SeqCst)), (1, 1));
        mailbox.awake();
        assert!(!mailbox.fall_asleep(), "messages are here");
        // Outside of it a post wakes at once, also after a panic within it.
        let mailbox = Mailbox::new(8, Box::new(Counted(Arc::clone(&wakes))));
        assert!(mailbox.fall_asleep());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            together(|| {
                mailbox.place().unwrap().post(1);
                panic!("amid the posts");
            })
        }));
        assert!(panicked.is_err() && wakes.load(Ordering::SeqCst) == 2);
        _ = mailbox.take();
        assert!(mailbox.fall_asleep());
        mailbox.place().unwrap().post(2);
        assert_eq!(wakes.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn many_posts_to_a_sleeper_are_one_wake() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let mailbox = Mailbox::new(8, Box::new(Counted(Arc::clone(&wakes))));
        assert!(mailbox.fall_asleep());
        for n in 0..5 {
            mailbox.place().unwrap().post(n);
        }
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert!(!mailbox.fall_asleep(), "messages wait, so there is no sleeping");
        assert_eq!((0..5).map(|_| mailbox.take().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(mailbox.fall_asleep());
        mailbox.awake();
        mailbox.place().unwrap().post(9);
        assert_eq!(wakes.load(Ordering::SeqCst), 1, "an owner that is awake is not woken");
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let mailbox = Mailbox::<u8>::new(2, Box::new(Counted::default()));
        let first = mailbox.place().unwrap();
        let second = mailbox.place().unwrap();
        assert!(mailbox.place().is_none());
        drop(first);
        second.post(1);
        assert!(mailbox.place().is_some(), "a dropped place is free at once");
        assert_eq!(mailbox.taken(), 1);
        assert_eq!(mailbox.take(), Some(1));
        assert_eq!(mailbox.taken(), 0, "a drained message frees its place");
    }
}
