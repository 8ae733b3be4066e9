//! Concurrency helpers: stages that are cancelled together, parallel processing of items, and queues with several
//! consumers.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use anyhow::Result;

/// Maximum number of concurrent registry requests or layer scans.
pub(crate) const AT_A_TIME: usize = 4;

/// A signal that tells the stages of a run to stop, together with the error that caused it. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct CancelToken(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    is_cancelled: AtomicBool,
    /// The first error other than a cancellation.
    first_error: Mutex<Option<anyhow::Error>>,
    /// The number of nested [`scope`] calls in progress.
    depth: AtomicUsize,
}

impl CancelToken {
    pub(crate) fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Cancels the token, and records `error` unless it is itself a cancellation. The outermost [`scope`] returns the
    /// first recorded error.
    pub(crate) fn fail(&self, error: anyhow::Error) -> Cancelled {
        if !Cancelled::caused(&error) {
            lock(&self.0.first_error).get_or_insert(error);
        }
        self.cancel();
        Cancelled
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }

    /// Returns an error if the token is cancelled.
    pub(crate) fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

/// The error returned by a stage that stopped because another stage failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cancelled;

impl Cancelled {
    /// Reports whether `error` is a cancellation or was caused by one.
    pub(crate) fn caused(error: &anyhow::Error) -> bool {
        error.chain().any(<dyn std::error::Error + 'static>::is::<Cancelled>)
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled because another step failed")
    }
}

impl std::error::Error for Cancelled {}

/// Runs stages concurrently. The first error or panic triggers `cancel`. Returns the first error other than a
/// cancellation. A nested scope returns [`Cancelled`] instead and leaves the error to the outermost scope.
pub(crate) fn scope<'env, T>(
    cancel: &'env CancelToken,
    work: impl for<'scope> FnOnce(&Stages<'scope, 'env>) -> Result<T>,
) -> Result<T> {
    cancel.0.depth.fetch_add(1, Ordering::Relaxed);
    let result = thread::scope(|scope| {
        let _guard = CancelOnPanic(cancel);
        work(&Stages { scope, cancel }).map_err(|error| cancel.fail(error))
    });
    let is_outermost = cancel.0.depth.fetch_sub(1, Ordering::Relaxed) == 1;
    if is_outermost && let Some(error) = lock(&cancel.0.first_error).take() {
        return Err(error);
    }
    // Check again, because a stage that was never joined may have failed.
    cancel.check()?;
    Ok(result?)
}

/// A handle for starting stages in a [`scope`].
pub(crate) struct Stages<'scope, 'env> {
    scope: &'scope thread::Scope<'scope, 'env>,
    cancel: &'env CancelToken,
}

impl<'scope, 'env> Stages<'scope, 'env> {
    /// Starts a stage on a new thread.
    pub(crate) fn spawn<T: Send + 'scope>(
        &self,
        stage: impl FnOnce() -> Result<T> + Send + 'scope,
    ) -> RunningStage<'scope, T>
    where
        'env: 'scope,
    {
        let cancel = self.cancel;
        RunningStage(self.scope.spawn(move || {
            let _guard = CancelOnPanic(cancel);
            stage().map_err(|error| cancel.fail(error))
        }))
    }
}

/// A handle to a stage that is running on another thread.
pub(crate) struct RunningStage<'scope, T>(ScopedJoinHandle<'scope, Result<T, Cancelled>>);

impl<T> RunningStage<'_, T> {
    /// Waits for the stage to finish. Returns [`Cancelled`] if it failed; [`scope`] returns the actual error.
    pub(crate) fn join(self) -> Result<T, Cancelled> {
        self.0.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// A guard that cancels the other stages if the current thread panics, so that the panic does not wait for them to
/// finish.
struct CancelOnPanic<'a>(&'a CancelToken);

impl Drop for CancelOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cancel();
        }
    }
}

/// Calls `each` for every item on several threads, and returns the results in the same order as the items.
pub(crate) fn parallel<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<R>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(items.len()) {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(index)
                {
                    let result = each(item);
                    if result.is_err() {
                        // Skip the remaining items.
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    lock(&done).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Waits for the next job in a queue that several threads share. Returns `None` once the queue is closed.
pub(crate) fn next<T>(queue: &Mutex<Receiver<T>>) -> Option<T> {
    lock(queue).recv().ok()
}

/// Locks a mutex, even if another thread panicked while holding it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::{Context, bail};

    use super::*;

    fn wait_for_cancel(cancel: &CancelToken) -> Result<()> {
        for _ in 0..1000 {
            cancel.check()?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    #[test]
    fn scope_returns_the_first_error_that_is_not_a_cancellation() {
        let cancel = CancelToken::default();
        let error = scope(&cancel, |stages| {
            let waiting = stages.spawn(|| wait_for_cancel(&cancel).context("while waiting"));
            let failing = stages.spawn(|| -> Result<()> { bail!("disk full") });
            waiting.join()?;
            failing.join()?;
            Ok(())
        });
        assert_eq!(error.unwrap_err().to_string(), "disk full");
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn scope_returns_the_first_error_of_an_inner_scope() {
        let cancel = CancelToken::default();
        let error = scope(&cancel, |stages| -> Result<()> {
            let (queue, jobs) = std::sync::mpsc::channel::<()>();
            let uploading = stages.spawn(|| {
                scope(&cancel, |workers| {
                    let failing = workers.spawn(|| -> Result<()> { bail!("upload rejected") });
                    let idle = workers.spawn(|| Ok(jobs.into_iter().count()));
                    failing.join()?;
                    idle.join()?;
                    Ok(())
                })
            });
            let _ = wait_for_cancel(&cancel);
            cancel.fail(anyhow::anyhow!("later"));
            drop(queue);
            Ok(uploading.join()?)
        });
        assert_eq!(error.unwrap_err().to_string(), "upload rejected");
    }

    #[test]
    fn scope_cancels_its_stages_when_its_closure_fails() {
        let cancel = CancelToken::default();
        let error = scope(&cancel, |stages| -> Result<()> {
            stages.spawn(|| wait_for_cancel(&cancel));
            bail!("no space")
        });
        assert_eq!(error.unwrap_err().to_string(), "no space");
    }

    #[test]
    #[should_panic(expected = "a bug")]
    fn scope_cancels_the_other_stages_after_a_panic() {
        let cancel = CancelToken::default();
        let _ = scope(&cancel, |stages| {
            let waiting = stages.spawn(|| wait_for_cancel(&cancel));
            let panicking = stages.spawn(|| -> Result<()> { panic!("a bug") });
            assert!(waiting.join().is_err(), "the waiting stage must be cancelled");
            Ok(panicking.join()?)
        });
    }

    #[test]
    fn scope_returns_the_results_of_its_stages() {
        let cancel = CancelToken::default();
        let sum = scope(&cancel, |stages| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let sending = stages.spawn(move || Ok((1..=3).try_for_each(|number| sender.send(number))?));
            let adding = stages.spawn(move || Ok(receiver.iter().sum::<i32>()));
            sending.join()?;
            Ok(adding.join()?)
        });
        assert_eq!(sum.unwrap(), 6);
        assert!(!cancel.is_cancelled());
    }
}
