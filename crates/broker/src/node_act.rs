//! What can be done to a node, by name.

/// What can be done to a node; see [`Cluster::act`](crate::Cluster::act).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeAct {
    /// It ends as by the kill of its process.
    Kill,
    /// It ends as by a power cut: what was not flushed may be lost.
    CutPower,
    /// It ends in order.
    Stop,
    /// It starts again.
    Start,
    /// It stands still.
    Pause,
    /// It goes on.
    Resume,
    /// It hears no other node.
    Isolate,
    /// It copies nothing.
    Hold,
    /// It copies again.
    Release,
    /// Nothing fits on its disk.
    FillDisk,
    /// There is room again.
    FreeDisk,
}

impl NodeAct {
    /// Everything that can be done.
    pub const ALL: [Self; 11] = [
        Self::Kill,
        Self::CutPower,
        Self::Stop,
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::Isolate,
        Self::Hold,
        Self::Release,
        Self::FillDisk,
        Self::FreeDisk,
    ];

    /// Its name, as in `fill-disk`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::CutPower => "cut-power",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Isolate => "isolate",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::FillDisk => "fill-disk",
            Self::FreeDisk => "free-disk",
        }
    }

    /// What has this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }
}
