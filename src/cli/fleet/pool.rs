//! Several hosts at a time, answers in the order of the questions, and no more of either in memory than
//! a fixed number.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Questions that are under way, or answered and not taken, for each worker.
const AHEAD: usize = 8;

/// Answers each of `questions`, `workers` at a time, and hands the answers over in order; `None` before it
/// waits for the next one. Ends early if `take` fails.
pub(super) fn in_order<Q: Send, A: Send, E>(
    workers: usize,
    questions: impl Iterator<Item = Q> + Send,
    answer: impl Fn(Q) -> A + Sync,
    mut take: impl FnMut(Option<A>) -> Result<(), E>,
) -> Result<(), E> {
    let (ask, asked) = sync_channel::<(Q, SyncSender<A>)>(workers);
    let (expect, expected) = sync_channel::<Receiver<A>>(workers.saturating_mul(AHEAD));
    let asked = Mutex::new(asked);
    thread::scope(|scope| {
        // Both ends of the queues are owned by who uses them, so that each stops when the others do.
        scope.spawn(move || {
            for question in questions {
                let (give, given) = sync_channel(1);
                if expect.send(given).is_err() || ask.send((question, give)).is_err() {
                    break;
                }
            }
        });
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((question, give)) = next else { break };
                    // If nobody waits for it any more, no question comes after it.
                    let _ = give.send(answer(question));
                }
            });
        }
        // A worker that panicked gives nothing; the scope passes the panic on. Dropped here, it lets go
        // those who wait to fill it.
        let expected = expected;
        while let Some(given) = next(&expected, &mut take)? {
            let Some(answer) = next(&given, &mut take)? else { break };
            take(Some(answer))?;
        }
        Ok(())
    })
}

/// What comes next; says so if that is to be waited for.
fn next<T, A, E>(
    from: &Receiver<T>,
    take: &mut impl FnMut(Option<A>) -> Result<(), E>,
) -> Result<Option<T>, E> {
    match from.try_recv() {
        Ok(next) => Ok(Some(next)),
        Err(TryRecvError::Disconnected) => Ok(None),
        Err(TryRecvError::Empty) => {
            take(None)?;
            Ok(from.recv().ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn answers_come_in_the_order_of_the_questions_and_not_far_ahead() {
        let (started, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let answer = |n: usize| {
            let ahead = started.fetch_add(1, Ordering::SeqCst).saturating_sub(taken.load(Ordering::SeqCst));
            assert!(ahead <= 2 * AHEAD + 2 + 2 + 2, "{ahead} ahead");
            if n % 7 == 0 {
                thread::yield_now();
            }
            n
        };
        let mut got = Vec::new();
        let result: Result<(), ()> = in_order(2, 0..500, answer, |n| {
            let Some(n) = n else { return Ok(()) };
            taken.fetch_add(1, Ordering::SeqCst);
            got.push(n);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!(got, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn it_ends_when_nobody_takes_the_answers() {
        let mut taken = 0;
        let result = in_order(
            2,
            0..,
            |n: u64| n,
            |answer: Option<u64>| {
                taken += usize::from(answer.is_some());
                if taken >= 10 { Err("enough") } else { Ok(()) }
            },
        );
        assert_eq!(result, Err("enough"));
    }
}
