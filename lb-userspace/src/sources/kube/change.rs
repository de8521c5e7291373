//! What streams tell the sets.

use lb_model::object::ObjectKey;

use crate::sources::translate::{Kind, Translation};

/// A change of one kind's objects.
#[derive(Debug)]
pub(super) enum Change {
    /// A list that is complete: these are all objects of the kind.
    Listed(Kind, Vec<Translation>),
    /// An object is new or different.
    Applied(Translation),
    /// An object is gone.
    Deleted(Kind, ObjectKey),
}
