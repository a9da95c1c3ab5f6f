//! Running work without the GIL, such that Ctrl-C interrupts it.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::context::Context;

/// Run `work` without the GIL, and check ten times per second whether Ctrl-C was pressed.
pub(super) fn run<T: Send>(
    py: Python<'_>,
    context: &Context,
    work: impl FnOnce() -> crate::error::Result<T> + Send,
) -> PyResult<T> {
    py.detach(|| {
        thread::scope(|scope| {
            let (send, receive) = mpsc::sync_channel(1);
            let worker = scope.spawn(move || drop(send.send(work())));
            let pressed = loop {
                match receive.recv_timeout(Duration::from_millis(100)) {
                    Ok(result) => return Ok(result?),
                    Err(RecvTimeoutError::Disconnected) => break None,
                    Err(RecvTimeoutError::Timeout) => {
                        // The method path that clippy suggests has another lifetime.
                        #[allow(clippy::redundant_closure_for_method_calls)]
                        let signals = Python::attach(|py| py.check_signals());
                        if let Err(pressed) = signals {
                            context.stop();
                            break Some(pressed);
                        }
                    }
                }
            };
            let ended = worker.join();
            Err(match (pressed, ended) {
                (Some(pressed), _) => pressed,
                (None, _) => PyRuntimeError::new_err("a worker thread failed: please report this"),
            })
        })
    })
}

/// Lock for reading; a panic of another thread leaves the value usable.
pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Lock for writing; a panic of another thread leaves the value usable.
pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
