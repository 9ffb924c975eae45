//! Users who come in through a real HAProxy, for what measures or shows that they are moved.

pub(crate) mod haproxy;
pub(crate) mod load;
