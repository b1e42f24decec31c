//! Answers to plain GETs of small files that are asked for again and again: head and content, ready to be sent.
//!
//! Any thread; the library's shards are locked over memory only. An answer is kept at its second look, with the stamp of the lookup
//! that it came from, and sent only while that is current: so who has seen a change of a name elsewhere never sees here what was before.
//! Its content was verified when it was read, and is the node's own copy. Always: at most its capacity in bytes.

use super::date::DATE_BYTES;
use crate::base::second_look::SecondLook;
use crate::net::Own;
use crate::request::{NameStamps, Stamp};
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Content of an answer that is kept: larger ones cost mostly what their bytes cost.
pub(super) const CONTENT_BYTES_MAX: usize = 64 << 10;
/// What an entry takes besides its bytes.
const ENTRY_BYTES: u64 = 256;
/// What the library is told to expect.
const TYPICAL_BYTES: u64 = 8 << 10;
const SEEN_SLOTS: usize = 1 << 15;

/// A kept answer.
#[derive(Debug)]
pub(super) struct HotAnswer {
    /// With a date that is replaced.
    head: Bytes,
    date_at: usize,
    content: Bytes,
    stamp: Stamp,
}

impl HotAnswer {
    /// The head, what stands in it on this date, and the content.
    pub(super) fn parts(&self, date: &[u8; DATE_BYTES]) -> (Bytes, Own, Bytes) {
        (self.head.clone(), Own { at: self.date_at, bytes: date[..].into() }, self.content.clone())
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<[u8]>, Arc<HotAnswer>> for ByBytes {
    fn weight(&self, target: &Box<[u8]>, answer: &Arc<HotAnswer>) -> u64 {
        (target.len() + answer.head.len() + answer.content.len()) as u64 + ENTRY_BYTES
    }
}

pub(super) struct HotAnswers {
    cache: Option<Cache<Box<[u8]>, Arc<HotAnswer>, ByBytes>>,
    looks: SecondLook,
    stamps: Arc<NameStamps>,
}

impl HotAnswers {
    /// At most so many bytes; 0 is none.
    pub(super) fn new(capacity: u64, stamps: Arc<NameStamps>) -> Self {
        let estimate = usize::try_from(capacity / TYPICAL_BYTES).unwrap_or(usize::MAX).max(16);
        let cache = (capacity > 0).then(|| Cache::with_weighter(estimate, capacity, ByBytes));
        Self { cache, looks: SecondLook::new(SEEN_SLOTS), stamps }
    }

    /// Whether there is any use in asking or offering.
    pub(super) fn is_on(&self) -> bool {
        self.cache.is_some()
    }

    /// The answer to a GET of this target, if it is here and still true.
    pub(super) fn find(&self, target: &[u8]) -> Option<Arc<HotAnswer>> {
        let cache = self.cache.as_ref()?;
        let answer = cache.get(target)?;
        if self.stamps.is_current(&answer.stamp) {
            return Some(answer);
        }
        cache.remove(target);
        None
    }

    /// Offers the whole answer to a plain GET of a target, given as its head, the place of the date in it, and the content.
    pub(super) fn offer(&self, target: Box<[u8]>, (head, date_at): (&[u8], usize), content: &[u8], stamp: Stamp) {
        let Some(cache) = &self.cache else { return };
        if content.len() <= CONTENT_BYTES_MAX && self.looks.is_second(&target) && self.stamps.is_current(&stamp) {
            let content = Bytes::copy_from_slice(content);
            cache.insert(target, Arc::new(HotAnswer { head: Bytes::copy_from_slice(head), date_at, content, stamp }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_at_its_second_look_and_sent_while_it_is_true() {
        let stamps = Arc::<NameStamps>::default();
        let hot = HotAnswers::new(1 << 20, Arc::clone(&stamps));
        let mut stamp = Stamp::new(1);
        stamp.add(7);
        let head = [&b"Date: "[..], &[b'-'; DATE_BYTES], b"\r\n\r\n"].concat();
        let offer = |target: &[u8]| hot.offer(target.into(), (&head, 6), b"content", stamp);
        offer(b"/a");
        assert!(hot.find(b"/a").is_none());
        offer(b"/a");
        let (kept, own, content) = hot.find(b"/a").unwrap().parts(b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!((&kept[..], &content[..]), (&head[..], &b"content"[..]));
        assert_eq!((own.at, &own.bytes[..]), (6, &b"Sun, 06 Nov 1994 08:49:37 GMT"[..]));
        stamps.change(7, 2);
        assert!(hot.find(b"/a").is_none());
        offer(b"/a");
        assert!(hot.find(b"/a").is_none(), "what was read before the change does not come in after it");
    }

    #[test]
    fn memory_is_bounded() {
        let hot = HotAnswers::new(1 << 20, Arc::default());
        for n in 0..2000u32 {
            for _ in 0..2 {
                hot.offer(n.to_be_bytes().into(), (b"head", 0), &[0; 4096], Stamp::new(1));
            }
        }
        assert!(hot.cache.as_ref().unwrap().weight() <= 1 << 20);
        let none = HotAnswers::new(0, Arc::default());
        assert!(!none.is_on() && none.find(b"/a").is_none());
    }
}
