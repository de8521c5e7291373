//! Made-up objects with hostile values beside a good one, see [`lb_fuzz::objects`].
#![cfg_attr(fuzzing, no_main)]

lb_fuzz::fuzz_target!(lb_fuzz::objects::run);
