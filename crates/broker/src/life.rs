//! The lives of a node: from a start on its tasks run, or stand still, until they end together.

use std::sync::mpsc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// What the tasks of a node are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    /// Which life of the node this is; tasks of an earlier one end.
    number: u64,
    /// Its tasks stand still.
    is_paused: bool,
}

/// One node, as those who start and end its tasks see it.
#[derive(Debug)]
pub(crate) struct Life {
    order: watch::Sender<Order>,
    tasks: Mutex<Tasks>,
}

/// Every task holds a copy of the sender, so the receiver knows when the last has ended.
#[derive(Debug)]
struct Tasks {
    token: Option<mpsc::Sender<()>>,
    all_ended: mpsc::Receiver<()>,
}

impl Tasks {
    fn none() -> Self {
        let (token, all_ended) = mpsc::channel();
        Self { token: Some(token), all_ended }
    }
}

/// What one task has of the life that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Alive {
    order: watch::Receiver<Order>,
    number: u64,
    _token: mpsc::Sender<()>,
}

impl Life {
    pub(crate) fn new() -> Self {
        let (order, _) = watch::channel(Order { number: 0, is_paused: false });
        Self { order, tasks: Mutex::new(Tasks::none()) }
    }

    /// For a task that begins; `None` once the node's life is over.
    pub(crate) fn alive(&self) -> Option<Alive> {
        let token = self.tasks.lock().token.clone()?;
        let order = self.order.subscribe();
        let number = order.borrow().number;
        Some(Alive { order, number, _token: token })
    }

    /// Lets the tasks stand still, or go on.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.order.send_modify(|order| order.is_paused = is_paused);
    }

    /// Ends all tasks, and returns when they have ended and their sockets are closed. Not to be
    /// called from one of them.
    pub(crate) fn end(&self) {
        self.order
            .send_modify(|order| *order = Order { number: order.number + 1, is_paused: false });
        let mut tasks = self.tasks.lock();
        tasks.token = None;
        // Nothing is ever sent; it fails when the last task has let go.
        let _ = tasks.all_ended.recv();
    }

    /// Another life may begin.
    pub(crate) fn begin(&self) {
        *self.tasks.lock() = Tasks::none();
    }
}

impl Alive {
    /// Comes back when the node's life is over.
    pub(crate) async fn over(&mut self) {
        let number = self.number;
        // An error means that the whole cluster is gone.
        let _ = self.order.wait_for(|order| order.number != number).await;
    }

    /// Comes back at once, or when the node is not paused any more.
    pub(crate) async fn running(&mut self) {
        if self.order.borrow().is_paused {
            let _ = self.order.wait_for(|order| !order.is_paused).await;
        }
    }
}
