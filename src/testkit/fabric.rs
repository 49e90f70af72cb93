//! Legal random machines: from a string of numbers, so that whoever makes the numbers (a generator of
//! tests, a fuzzer) also makes them smaller.

use alloc::vec::Vec;

use super::{Config, Machine};
use crate::addr::{Bdf, Sbdf, Segment};

/// A source of choices. When it runs dry it gives zeros, which choose the simplest thing.
#[derive(Clone, Debug)]
pub struct Choices<'c> {
    numbers: &'c [u32],
}

impl<'c> Choices<'c> {
    /// From these numbers.
    #[must_use]
    pub const fn new(numbers: &'c [u32]) -> Self {
        Self { numbers }
    }

    /// One of `0..bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        let Some((first, rest)) = self.numbers.split_first() else { return 0 };
        self.numbers = rest;
        first % bound.max(1)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == n - 1
    }
}

/// What a made machine is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Buses at most.
    pub buses: u8,
    /// Bits of ACS Control that are never set.
    pub without: u16,
    /// Hidden parts, short dumps and broken types occur.
    pub damaged: bool,
    /// Bridges and functions occur that have in force what the model does not follow.
    pub beyond: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { buses: 14, without: 0, damaged: false, beyond: false }
    }
}

struct Maker<'m, 'c> {
    machine: Machine,
    choices: &'m mut Choices<'c>,
    shape: Shape,
    next_bus: u8,
}

/// A machine with one or two root buses.
#[must_use]
pub fn machine(choices: &mut Choices<'_>, shape: Shape) -> Machine {
    let mut maker = Maker { machine: Machine::new(), choices, shape, next_bus: 0 };
    let roots = 1 + maker.choices.below(2);
    for n in 0..roots {
        let bus = maker.take_bus();
        maker.machine.root(0, bus);
        if n == 0 {
            maker.add(bus, 0, Config::conventional().class(0x0600));
        }
        let devices = 1 + maker.choices.below(4);
        for device in 1..=devices {
            maker.root_device(bus, device as u8);
        }
    }
    maker.machine
}

impl Maker<'_, '_> {
    fn take_bus(&mut self) -> u8 {
        let bus = self.next_bus;
        self.next_bus += 1;
        bus
    }

    fn has_bus(&self) -> bool {
        self.next_bus < self.shape.buses
    }

    fn add(&mut self, bus: u8, devfn: u8, config: Config) {
        let bdf = Bdf::from_bits(u16::from(bus) << 8 | u16::from(devfn));
        let config = match self.shape.beyond && self.choices.one_in(8) {
            true => self.beyond(config),
            false => config,
        };
        let config = match self.shape.damaged && self.choices.one_in(16) {
            true => {
                let length = [64, 256, 0x104, 0x148, 0][self.choices.below(5) as usize];
                config.captured(length)
            }
            false => config,
        };
        self.machine.add(Sbdf { segment: Segment(0), bdf }, config);
    }

    /// With something in force that the model does not follow.
    fn beyond(&mut self, config: Config) -> Config {
        let is_bridge = config.bytes()[0x0e] & 0x7f == 1;
        match self.choices.below(7) {
            0 if is_bridge => config.flattening_portal(true, false),
            1 if is_bridge => config.flattening_portal(false, true),
            2 if is_bridge => config.enhanced_allocation(6, Some((self.choices.below(4) as u8, 9))),
            3 if is_bridge => config.dword(0x3c, 0x000c_0000),
            4 if is_bridge => config.dword(0x08, 0x0604_0100),
            5 => config.class(0x0300),
            _ => config.enhanced_allocation(0, is_bridge.then_some((0, 0))),
        }
    }

    /// ACS of any shape, or none.
    fn acs(&mut self, config: Config) -> Config {
        if self.choices.below(4) == 0 {
            return config;
        }
        let capability = match self.choices.below(4) {
            0 => 0x005f,
            1 => 0x20ff,
            2 => 0x001d,
            _ => self.choices.below(0x100) as u16 | (self.choices.below(3) as u16) << 12,
        };
        let control = match self.choices.below(4) {
            0 => 0x001d,
            1 => 0x005d,
            _ => self.choices.below(0x2000) as u16,
        };
        let vector = self.choices.below(u32::MAX);
        config.acs(capability, control & !self.shape.without, vector)
    }

    fn bars(&mut self, config: Config) -> Config {
        let config = config.bar(0, 0xfe00_0000 | self.choices.below(0x100) << 12);
        match self.choices.below(3) {
            0 => config.bar(1, 0xc001),
            _ => config,
        }
    }

    fn root_device(&mut self, bus: u8, device: u8) {
        let functions = 1 + self.choices.below(3) as u8;
        for function in 0..functions {
            let devfn = device << 3 | function;
            let kind = self.choices.below(8);
            let mark = |config: Config| if functions > 1 { config.multi_function() } else { config };
            match kind {
                0..=4 if self.has_bus() => {
                    let at = self.machine.functions_mut().len();
                    let port = Config::root_port(0, 0).port_number(self.choices.below(6) as u8);
                    let port = self.acs(mark(port));
                    let (secondary, subordinate, ari) = self.link(at, bus, devfn, port);
                    self.settle(at, secondary, subordinate, ari);
                }
                5 if self.has_bus() => {
                    let at = self.machine.functions_mut().len();
                    self.add(bus, devfn, mark(Config::conventional().buses(0, 0)));
                    let (secondary, subordinate) = self.conventional_bus();
                    self.settle(at, secondary, subordinate, false);
                }
                6 => {
                    let config = self.bars(mark(Config::pcie(super::port_type::INTEGRATED)));
                    let config = self.acs(config);
                    self.add(bus, devfn, config);
                }
                7 if self.shape.damaged => self.add(bus, devfn, mark(Config::endpoint())),
                _ => {
                    let config = self.bars(mark(Config::conventional()));
                    self.add(bus, devfn, config);
                }
            }
        }
    }

    /// Writes the bus numbers of a bridge when they are known.
    fn settle(&mut self, at: usize, secondary: u8, subordinate: u8, ari: bool) {
        let slot = &mut self.machine.functions_mut()[at].1;
        if slot.bytes().is_empty() {
            return;
        }
        let mut config = slot.clone().buses(secondary, subordinate);
        if ari && config.bytes().len() > 0x70 {
            config = config.ari_forwarding();
        }
        *slot = config;
    }

    /// Adds the port, then what is at the end of its link.
    fn link(&mut self, at: usize, bus: u8, devfn: u8, port: Config) -> (u8, u8, bool) {
        self.add(bus, devfn, port);
        debug_assert!(self.machine.functions_mut().len() > at);
        let secondary = self.take_bus();
        match self.choices.below(8) {
            0..=3 if self.next_bus + 2 < self.shape.buses => {
                self.switch(secondary);
                (secondary, self.next_bus - 1, false)
            }
            4 if self.has_bus() => {
                let bridge = self.machine.functions_mut().len();
                self.add(secondary, 0, Config::pcie(super::port_type::TO_PCI).buses(0, 0));
                let (to, last) = self.conventional_bus();
                self.settle(bridge, to, last, false);
                (secondary, last, false)
            }
            5 if self.has_bus() => {
                let ari = self.physical(secondary);
                (secondary, self.next_bus - 1, ari)
            }
            _ => {
                let ari = self.choices.one_in(3);
                let functions = 1 + self.choices.below(4) as u8;
                for n in 0..functions {
                    let mut config = self.bars(Config::endpoint());
                    if functions > 1 {
                        config = self.acs(config.multi_function());
                    }
                    if ari {
                        config = config.ari();
                    }
                    let devfn = if ari { n * 5 } else { n };
                    self.add(secondary, devfn, config);
                }
                (secondary, secondary, ari)
            }
        }
    }

    fn switch(&mut self, bus: u8) {
        let beside = self.choices.one_in(4);
        let at = self.machine.functions_mut().len();
        let mut upstream = Config::upstream(0, 0);
        if beside {
            upstream = self.acs(upstream.multi_function());
        }
        self.add(bus, 0, upstream);
        let secondary = self.take_bus();
        let mut position = 0_u8;
        let ports = 1 + self.choices.below(4) as u8;
        for n in 0..ports {
            if !self.has_bus() {
                break;
            }
            let port = Config::downstream(n + 1, 0, 0);
            let port = self.acs(port);
            let index = self.machine.functions_mut().len();
            position += 1 + self.choices.below(6) as u8;
            let (first, last, ari) = self.link(index, secondary, position, port);
            self.settle(index, first, last, ari);
        }
        let last = self.next_bus - 1;
        self.settle(at, secondary, last, false);
        if beside {
            let config = self.bars(Config::endpoint().multi_function());
            let config = self.acs(config);
            self.add(bus, 1, config);
        }
    }

    fn conventional_bus(&mut self) -> (u8, u8) {
        let secondary = self.take_bus();
        for device in 0..1 + self.choices.below(3) as u8 {
            if self.has_bus() && self.choices.one_in(3) {
                let at = self.machine.functions_mut().len();
                self.add(secondary, device << 3, Config::conventional().buses(0, 0));
                let (first, last) = self.conventional_bus();
                self.settle(at, first, last, false);
            } else {
                for function in 0..1 + self.choices.below(3) as u8 {
                    let config = self.bars(Config::conventional());
                    self.add(secondary, device << 3 | function, config);
                }
            }
        }
        (secondary, self.next_bus - 1)
    }

    /// A physical function with virtual ones, some of them on the next bus; whether ARI is in use.
    fn physical(&mut self, bus: u8) -> bool {
        let count = 1 + self.choices.below(3) as u16;
        let offset = if self.choices.one_in(2) { 0x80 } else { 0xff };
        let config = Config::endpoint().sriov(offset, 1, count);
        let config = self.bars(config);
        let config = self.acs(config);
        let ari = self.choices.one_in(2);
        let config = if ari { config.ari() } else { config };
        self.add(bus, 0, config);
        let spill = self.take_bus();
        let functions: Vec<u16> = (0..count).map(|n| offset + n).collect();
        for distance in functions {
            let config = self.acs(Config::virtual_function());
            let at = u16::from(bus) << 8;
            let target = at + distance;
            debug_assert!(target >> 8 <= u16::from(spill));
            self.add((target >> 8) as u8, target as u8, config);
        }
        ari
    }
}
