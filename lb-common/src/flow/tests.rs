use proptest::prelude::*;

use super::*;

fn key() -> impl Strategy<Value = FlowKey> {
    (any::<u32>(), any::<u32>(), any::<u16>(), any::<u16>(), prop_oneof![Just(tcp::TCP), Just(tcp::UDP)])
        .prop_map(|(src, dst, sport, dport, protocol)| FlowKey::new(src, dst, sport, dport, protocol))
}

proptest! {
    #[test]
    fn the_other_half_of_the_other_half_is_the_half(from in key(), to in key(), backend: u32, local: bool) {
        let to = FlowKey { protocol: from.protocol, ..to };
        let flags = if local { FLOW_LOCAL } else { 0 };
        let forward = Flow { backend, generation: 7, service: 9, flags, ..Flow::translating(&from, &to) };
        let reverse_key = forward.other_key(&from);
        let reverse = forward.other(&from);
        prop_assert_eq!(reverse_key, to.reversed());
        prop_assert_eq!(reverse.translated(from.protocol), from.reversed());
        prop_assert!(reverse.is_other_of(&forward, &from));
        prop_assert_eq!(reverse.other_key(&reverse_key), from);
        prop_assert_eq!(reverse.other(&reverse_key), forward);
    }

    #[test]
    fn a_record_restores_its_half_and_no_other(from in key(), to in key(), stranger in key()) {
        let flow = Flow { backend: 3, service: 4, generation: 5, ..Flow::translating(&from, &to) };
        let mut bucket = RestoreBucket::default();
        bucket.keep(&from, &flow, 100);
        let mut restored = Flow::default();
        prop_assert!(bucket.find(&from, 101, &mut restored));
        prop_assert_eq!(restored.translated(0), flow.translated(0));
        prop_assert_eq!((restored.backend, restored.service, restored.generation), (3, 4, 5));
        prop_assert_eq!((restored.l3_delta, restored.l4_delta), (flow.l3_delta, flow.l4_delta));
        prop_assume!(stranger != from);
        prop_assert!(!bucket.find(&stranger, 101, &mut restored));
    }

    #[test]
    fn a_torn_record_is_not_believed(a in key(), b in key(), to in key()) {
        prop_assume!(a != b);
        let whole = RestoreRecord::of(&a, &Flow::translating(&a, &to), 100);
        let other = RestoreRecord::of(&b, &Flow { backend: 1, ..Flow::translating(&b, &to) }, 100);
        let torn = RestoreRecord { backend: other.backend, ..whole };
        prop_assert_eq!(torn.restore(&a, 100), None);
    }
}

#[test]
fn a_bucket_keeps_the_two_newest() {
    let to = FlowKey::new(9, 9, 9, 9, tcp::TCP);
    let keys: Vec<_> = (1..=3).map(|n| FlowKey::new(n, 0, 0, 0, tcp::TCP)).collect();
    let mut bucket = RestoreBucket::default();
    for (age, key) in keys.iter().enumerate() {
        let now = 1000 + age as Tick;
        bucket.keep(key, &Flow::translating(key, &to), now);
    }
    let found: Vec<_> = keys.iter().map(|key| bucket.find(key, 1003, &mut Flow::default())).collect();
    assert_eq!(found, [false, true, true]);
}

#[test]
fn an_old_record_is_not_restored() {
    let key = FlowKey::new(1, 2, 3, 4, tcp::UDP);
    let record = RestoreRecord::of(&key, &Flow::translating(&key, &key), 0);
    assert!(record.restore(&key, tcp::timeout::UDP_OPENING).is_some());
    assert!(record.restore(&key, tcp::timeout::UDP_OPENING + 1).is_none());
}
