//! Sequences of operations on the core, and whole sessions with a hostile broker: the bytes say who
//! does what next. Then all is well, and what became of the records is looked at.

use std::time::Duration;

use crate::source::Source;
use crate::world::World;

/// Settings that make a difference here, chosen by the first bytes.
fn settings(source: &mut Source<'_>) -> Vec<(&'static str, &'static str)> {
    let how = source.byte();
    let mut settings = vec![
        ("bootstrap.servers", "one:9092,two:9092"),
        ("delivery.timeout.ms", "20000"),
        ("request.timeout.ms", "2000"),
        ("metadata.max.age.ms", "5000"),
    ];
    settings.push(("batch.size", if how & 1 == 0 { "200" } else { "16384" }));
    settings.push(("compression.type", if how & 2 == 0 { "none" } else { "lz4" }));
    settings.push(("linger.ms", if how & 4 == 0 { "0" } else { "50" }));
    match how >> 3 & 7 {
        0 => settings.push(("acks", "0")),
        1 => settings.push(("acks", "1")),
        2 => settings.extend([("enable.idempotence", "false"), ("retries", "2")]),
        3 => settings.push(("max.in.flight.requests.per.connection", "1")),
        _ => {}
    }
    if how & 64 != 0 {
        settings.push(("connections.max.idle.ms", "1000"));
    }
    settings
}

pub(crate) fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let settings = settings(&mut source);
    let mut world = World::new(&settings, u64::from(source.byte()));
    if source.flag() {
        begin_well(&mut world);
    }
    let mut is_closed = false;
    for _ in 0..400 {
        if source.is_spent() || is_closed {
            break;
        }
        is_closed = step(&mut world, &mut source);
        world.drive();
    }
    if is_closed {
        // Answers still come in, and are for nobody.
        world.abort();
        world.drive();
    } else {
        world.heal();
    }
    world.check();
}

/// Connected, and with the topics known.
fn begin_well(world: &mut World) {
    for _ in 0..3 {
        world.drive();
        while !world.connects.is_empty() {
            world.connect(true);
            world.drive();
        }
        for nth in 0..2 {
            honest(world, nth);
            honest(world, nth);
        }
    }
}

fn honest(world: &mut World, nth: usize) {
    let Some(id) = world.connection(nth) else { return };
    if let Some(answer) = world.answer(id, 0) {
        world.bytes(id, &answer);
        world.drive();
    }
}

/// Codes that mean something to a producer, and some that mean nothing to anybody.
const CODES: [i16; 24] =
    [0, 10, 2, 3, 5, 6, 7, 10, 17, 18, 19, 20, 32, 29, 31, 45, 46, 47, 56, 59, 87, 100, 999, -1];

/// One thing that happens; whether the program is through.
fn step(world: &mut World, source: &mut Source<'_>) -> bool {
    let what = source.byte();
    let nth = usize::from(what >> 4);
    match what % 16 {
        0 | 1 => world.append(nth, source.below(4), source.below(256)),
        2 => world.connect(nth != 15),
        3 => honest(world, nth),
        4 => {
            let code = CODES[source.below(CODES.len())];
            let Some(id) = world.connection(nth) else { return false };
            if let Some(answer) = world.answer(id, code) {
                world.bytes(id, &answer);
            }
        }
        5 => spoilt(world, nth, source),
        6 => cut(world, nth, source),
        7 => {
            let len = source.below(64);
            let bytes = source.bytes(len);
            if let Some(id) = world.connection(nth) {
                world.bytes(id, bytes);
            }
        }
        8 => {
            if let Some(id) = world.connection(nth) {
                world.disconnect(id);
            }
        }
        9 | 10 => {
            let millis = u64::from(source.byte()) << (nth / 2);
            world.pass(Duration::from_millis(millis), |_| ());
        }
        11 => world.flush(),
        12 if nth & 1 == 0 => world.compressed(nth / 2, source.flag()),
        12 => world.split(nth / 2, !source.byte().is_multiple_of(8)),
        13 => world.purge(nth & 1 == 1, nth & 2 == 2, (nth & 4 == 4).then_some(nth / 8)),
        14 => relayout(world, source),
        _ => return nth == 15,
    }
    false
}

/// An honest answer with some bytes changed.
fn spoilt(world: &mut World, nth: usize, source: &mut Source<'_>) {
    let Some(id) = world.connection(nth) else { return };
    let Some(mut answer) = world.answer(id, 0) else { return };
    for _ in 0..1 + source.below(4) {
        let at = usize::from(source.short()) % answer.len();
        let len = 1 + source.below(8);
        let bytes = source.bytes(len);
        answer.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = *new);
    }
    world.bytes(id, &answer);
}

/// A part of an honest answer, and then perhaps the end of the connection.
fn cut(world: &mut World, nth: usize, source: &mut Source<'_>) {
    let Some(id) = world.connection(nth) else { return };
    let Some(answer) = world.answer(id, 0) else { return };
    let at = usize::from(source.short()) % answer.len();
    world.bytes(id, &answer[..at]);
    match source.below(3) {
        0 => world.disconnect(id),
        1 => world.bytes(id, &answer[at..]),
        _ => {}
    }
}

/// Leaders move, partitions come and go, topics are created anew, brokers grow older or younger.
fn relayout(world: &mut World, source: &mut Source<'_>) {
    let how = source.byte();
    let layout = &mut world.layout;
    match how % 5 {
        0 => {
            layout.leader_epoch += 1;
            let leader = i32::from(source.byte() % 5) - 1;
            let at = source.below(layout.leaders.len());
            if let Some(old) = layout.leaders.get_mut(at) {
                *old = leader;
            }
        }
        1 => layout.leaders.truncate(1 + source.below(3)),
        2 => layout.leaders.extend([1, 2]),
        3 => layout.incarnation = layout.incarnation.wrapping_add(1),
        _ => layout.newest_produce = 3 + i16::from(source.byte() % 11),
    }
    layout.leaders.truncate(8);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for how in [0x20_u8, 0x21, 0x22, 0x27, 0x00, 0x08, 0x10, 0x18, 0x60] {
        // Settings, seed, a good beginning; records, and answers good and bad.
        let begin = [how, 1, 1, 0x00, 0, 40, 0x10, 1, 90, 0x00, 2, 200, 0x0b];
        seeds.push([&begin[..], &[0x02, 0x02, 0x03, 0x13, 0x23, 0x03, 0x13, 0x23]].concat());
        seeds.push([&begin[..], &[0x02, 0x02, 0x03, 0x13, 0x04, 5, 0x14, 6, 0x09, 200]].concat());
        seeds.push(
            [&begin[..], &[0x02, 0x03, 0x05, 0, 0, 4, 2, 0xff, 0xff, 0x08, 0x29, 255]].concat(),
        );
        seeds.push(
            [&begin[..], &[0x02, 0x03, 0x0e, 0, 3, 0, 0x0e, 3, 0x3d, 0x06, 0, 9, 0, 0xff]].concat(),
        );
    }
    seeds
}
