//! What waits for the I/O thread's attention, and the bell that wakes it.

use crate::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use ottla_core::PartitionKey;
use tokio::sync::{Notify, oneshot};

use crate::cell::BatchCell;
use crate::flush::CloseReport;
use crate::sync::{Bug, Mutex};

/// What a handle asks of the I/O thread.
pub(crate) enum Command {
    /// Connect, though there is nothing to send yet.
    Connect,
    /// Ask the cluster for a topic.
    Want(Arc<str>),
    /// Send what is there; answer with the batches to wait for.
    Flush(oneshot::Sender<Vec<Arc<BatchCell>>>),
    /// Give up what waits, what is in flight, or both; tell when that is done.
    Purge {
        queued: bool,
        in_flight: bool,
        /// Of these partitions only.
        partitions: Option<Vec<PartitionKey>>,
        done: oneshot::Sender<()>,
    },
    /// Give up what is left.
    Abort(oneshot::Sender<CloseReport>),
    /// Tell when the callbacks of all that is settled were called.
    MarkCallbacks(oneshot::Sender<()>),
    /// Nothing is left: end.
    End,
    /// No handle is left: end when everything is done.
    Detach,
    /// What no handle asks for: the I/O thread has an error that nobody thought of.
    #[cfg(test)]
    Panic,
}

/// What was written to the I/O thread.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) notes: Vec<PartitionKey>,
    pub(crate) commands: Vec<Command>,
    /// The I/O thread has ended: whoever asks is told so at once, by the drop of the command.
    ended: bool,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.commands.is_empty()
    }
}

/// The I/O thread's mailbox and its bell.
#[derive(Default)]
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    pressed: AtomicBool,
    asleep: AtomicBool,
    bell: Notify,
}

impl Mailbox {
    /// Tells the I/O thread that a partition's queue is worth a look.
    pub(crate) fn note(&self, key: PartitionKey) {
        self.mail.lock().notes.push(key);
        self.ring();
    }

    pub(crate) fn command(&self, command: Command) {
        let mut mail = self.mail.lock();
        if mail.ended {
            return;
        }
        mail.commands.push(command);
        drop(mail);
        self.ring();
    }

    /// Somebody waits for memory: the I/O thread must not leave it in open batches.
    pub(crate) fn press(&self) {
        self.pressed.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Wakes the I/O thread if it sleeps: a system call, so not made when it is awake anyway.
    fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.bell.notify_one();
        }
    }

    // ---- the I/O thread's side -------------------------------------------------------------

    /// Everything in the mailbox.
    pub(crate) fn take(&self) -> Mail {
        std::mem::take(&mut *self.mail.lock())
    }

    /// Whether somebody has waited for memory since the last call.
    pub(crate) fn take_pressed(&self) -> bool {
        self.pressed.swap(false, Ordering::SeqCst)
    }

    /// The I/O thread is about to sleep; false when there is mail, so that it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        // Whoever wrote after our last look either sees us asleep, or left mail that we see now.
        let quiet = Bug::SleepsOnMail.is_on()
            || self.mail.lock().is_empty() && !self.pressed.load(Ordering::SeqCst);
        if !quiet {
            self.asleep.store(false, Ordering::SeqCst);
        }
        quiet
    }

    /// Waits until the bell is rung.
    pub(crate) async fn bell(&self) {
        self.bell.notified().await;
    }

    pub(crate) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// The I/O thread ends: nobody will read the mailbox any more.
    pub(crate) fn end(&self) {
        if Bug::EndKeepsMail.is_on() {
            return;
        }
        let left =
            std::mem::replace(&mut *self.mail.lock(), Mail { ended: true, ..Mail::default() });
        // Its commands wake who waits for their answers, and so must not be dropped under the lock.
        drop(left);
    }
}
