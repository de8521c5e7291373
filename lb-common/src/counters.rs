//! Numbered counters: a variant is the index of its counter in a map, with the name that metrics use and a sentence for
//! the documentation.

/// Makes the enum of the counters of one map.
macro_rules! counters {
    ($(#[$attribute:meta])* $name:ident { $($variant:ident = $text:literal, $doc:literal;)+ }) => {
        $(#[$attribute])*
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = $doc] $variant,)+
        }

        impl $name {
            /// Every one, in the order of the map.
            pub const ALL: [Self; Self::COUNT as usize] = [$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: u32 = [$($text,)+].len() as u32;

            /// The one behind a number of the map.
            pub fn from_u32(number: u32) -> Option<Self> {
                Self::ALL.get(number as usize).copied()
            }

            /// As metrics and the command line spell it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// One sentence for an operator.
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ }
            }
        }

        #[cfg(test)]
        mod order {
            use super::$name;

            #[test]
            fn numbers_follow_the_order_and_names_are_unique() {
                for (number, counter) in $name::ALL.into_iter().enumerate() {
                    assert_eq!(counter as usize, number);
                    assert_eq!($name::from_u32(counter as u32), Some(counter));
                    let same = $name::ALL.iter().filter(|other| other.as_str() == counter.as_str());
                    assert_eq!(same.count(), 1, "{counter:?}");
                }
                assert_eq!($name::from_u32($name::COUNT), None);
            }
        }
    };
}

pub(crate) use counters;
