//! The hierarchy as rows: a function each, or many neighbours that are alike.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;
use serde_json::Value;

use super::Inputs;
use super::embed::Table;
use crate::report::json::{AcsDocument, FunctionDocument};
use crate::report::words::address;
use crate::route::compare;
use crate::route::matrix::{Label, Matrix};
use crate::topology::{BusIndex, FunctionIndex, Kind, Parent};

/// Neighbours that are alike make one row from this many on.
const MIN_RUN: usize = 5;
/// Most rows: one for each function of a full segment.
const MAX_ROWS: usize = 65_536;
/// Bytes of what is said of kinds of functions, and of their ACS.
const KINDS: usize = 400_000;
const ACS: usize = 200_000;

/// The hierarchy.
#[derive(Debug, Default, Serialize)]
pub(super) struct Hierarchy {
    buses: Vec<BusRow>,
    /// `[devfn, kind, class, domain, group, device, kernel's group]`, and of several functions
    /// `[…, count, stride, each]`: see [`Row`]. -1 stands for none.
    rows: Vec<Vec<i64>>,
    /// First functions of devices that are more than a slot.
    devices: Table,
    /// What rows of a kind have in common.
    kinds: Table,
    /// The ACS of functions, without where it is.
    acs: Table,
    /// What else their registers hold.
    registers: Table,
    /// For each row: indices of the registers, one if its functions have the same, else of each; -1 where
    /// there is no room.
    registers_of: Vec<Vec<i64>>,
    /// Functions that are left out because there are too many.
    left_out: usize,
    /// For each row: its functions.
    #[serde(skip)]
    functions: Vec<Range<FunctionIndex>>,
}

/// One bus.
#[derive(Debug, Serialize)]
struct BusRow {
    segment: u32,
    number: u8,
    /// Row of the bridge above it.
    up: Option<usize>,
    /// Whether the bridge directly above it is not in the dump.
    gap: bool,
    /// The bus from which virtual functions spilled onto it.
    beside: Option<BusIndex>,
    /// Its rows: from, and up to.
    rows: (usize, usize),
}

/// What rows of a kind have in common.
#[derive(Serialize)]
struct KindRow<'a> {
    name: String,
    port: Option<String>,
    driver: Option<&'a str>,
    label: Option<&'static str>,
    /// Whether it is a virtual function.
    is_virtual: bool,
    buses: Option<String>,
    /// Index of the ACS.
    acs: Option<usize>,
}

/// What is said of one function; of neighbours that are alike, of the first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    devfn: i64,
    /// Index of what rows of this kind have in common.
    kind: i64,
    /// Class in the matrix.
    class: i64,
    domain: i64,
    group: i64,
    /// Its device, if that is more than a slot.
    device: i64,
    kernel: i64,
    /// Whether it alone has its domain, group, kernel's group: bits 0, 1, 2. Neighbours that are alike have
    /// the following numbers then.
    each: i64,
}

impl Row {
    /// Whether `next`, `count` places and `stride` numbers further each, is alike.
    fn continues(&self, next: &Self, count: i64, stride: i64) -> bool {
        let expected = |first: i64, bit: i64| match self.each & bit {
            0 => first,
            _ => first.saturating_add(count),
        };
        *next
            == Self {
                devfn: self.devfn.saturating_add(stride.saturating_mul(count)),
                domain: expected(self.domain, 1),
                group: expected(self.group, 2),
                kernel: expected(self.kernel, 4),
                ..*self
            }
    }

    fn numbers(&self, count: usize, stride: i64) -> Vec<i64> {
        let mut numbers =
            vec![self.devfn, self.kind, self.class, self.domain, self.group, self.device, self.kernel];
        if count > 1 {
            numbers.extend([number(Some(count)), stride, self.each]);
        }
        numbers
    }
}

fn number(index: Option<usize>) -> i64 {
    index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1)
}

impl Hierarchy {
    pub(super) fn new(inputs: &Inputs<'_>, matrix: Option<&Matrix>) -> Self {
        let topology = inputs.topology();
        let mut hierarchy = Self::default();
        let facts = Facts::new(inputs, matrix);
        let mut row_of: Vec<usize> = Vec::with_capacity(topology.functions().len());
        for (index, bus) in topology.buses().iter().enumerate() {
            let from = hierarchy.rows.len();
            hierarchy.add_bus(inputs, &facts, index, &mut row_of);
            let (up, gap, beside) = match bus.parent {
                Parent::Root => (None, false, None),
                Parent::Bridge(bridge) => (Some(bridge), false, None),
                Parent::Orphan(bridge) => (bridge, true, None),
                Parent::VirtualFunctions(beside) => (None, false, Some(beside)),
            };
            hierarchy.buses.push(BusRow {
                segment: bus.segment.0,
                number: bus.number,
                up: up.and_then(|bridge| row_of.get(bridge).copied()),
                gap,
                beside,
                rows: (from, hierarchy.rows.len()),
            });
        }
        hierarchy
    }

    /// Adds registers while there is room for this many bytes: of the first function of each row, then of
    /// the others.
    pub(super) fn add_registers(&mut self, inputs: &Inputs<'_>, room: usize) {
        let mut of_rows = Vec::with_capacity(self.functions.len());
        for functions in &self.functions {
            let first =
                registers(inputs, functions.start).and_then(|one| self.registers.add_within(&one, room));
            of_rows.push(vec![number(first)]);
        }
        for (functions, known) in self.functions.iter().zip(&mut of_rows) {
            for function in functions.clone().skip(1) {
                let next = registers(inputs, function).and_then(|one| self.registers.add_within(&one, room));
                known.push(number(next));
            }
            if known.iter().all(|one| known.first() == Some(one)) {
                known.truncate(1);
            }
        }
        self.registers_of = of_rows;
    }

    fn add_bus(&mut self, inputs: &Inputs<'_>, facts: &Facts, bus: BusIndex, row_of: &mut Vec<usize>) {
        let functions = inputs.topology().on_bus(bus);
        let rows: Vec<Row> = functions.clone().map(|index| facts.row(inputs, index, self)).collect();
        let mut at = functions.start;
        let mut rest = rows.as_slice();
        while let [first, after @ ..] = rest {
            if self.rows.len() >= MAX_ROWS {
                self.left_out = self.left_out.saturating_add(rest.len());
                return;
            }
            let stride = after.first().map_or(1, |second| second.devfn.saturating_sub(first.devfn));
            let alike = |(n, next): &(i64, &Row)| first.continues(next, *n, stride);
            let count = match facts.leads.contains(&at) {
                true => 1,
                false => {
                    let own = (1..).zip(after).take_while(alike).zip(at.saturating_add(1)..);
                    own.take_while(|(_, index)| !facts.leads.contains(index)).count().saturating_add(1)
                }
            };
            let count = if count < MIN_RUN { 1 } else { count };
            row_of.extend(std::iter::repeat_n(self.rows.len(), count));
            self.rows.push(first.numbers(count, stride));
            let next = at.saturating_add(count);
            self.functions.push(at..next);
            at = next;
            rest = rest.get(count..).unwrap_or_default();
        }
    }
}

/// What rows need, prepared once.
struct Facts {
    /// Class of each function in the matrix.
    class: Vec<Option<usize>>,
    kernel: Vec<Option<u32>>,
    /// Kernel's groups of one function.
    kernel_alone: BTreeSet<u32>,
    /// Bridges that lead to a bus.
    leads: BTreeSet<FunctionIndex>,
    /// First functions of devices that are more than a slot.
    wide: BTreeSet<FunctionIndex>,
}

impl Facts {
    fn new(inputs: &Inputs<'_>, matrix: Option<&Matrix>) -> Self {
        let topology = inputs.topology();
        let mut class = vec![None; topology.functions().len()];
        for (id, members) in matrix.into_iter().flat_map(|matrix| &matrix.classes).enumerate() {
            for member in &members.members {
                class.get_mut(*member).into_iter().for_each(|slot| *slot = Some(id));
            }
        }
        let leads = topology.buses().iter().filter_map(|bus| match bus.parent {
            Parent::Bridge(bridge) | Parent::Orphan(Some(bridge)) => Some(bridge),
            Parent::Root | Parent::VirtualFunctions(_) | Parent::Orphan(None) => None,
        });
        let devices = inputs.fabric().devices();
        let wide = (0..topology.functions().len()).filter_map(|index| {
            let first = devices.device_of(index);
            (topology.in_slot(index) != topology.in_slot(first)).then_some(first)
        });
        let kernel = compare::kernel_groups(topology);
        let (mut kernel_alone, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for group in kernel.iter().flatten() {
            if !kernel_alone.insert(*group) {
                shared.insert(*group);
            }
        }
        kernel_alone.retain(|group| !shared.contains(group));
        Self { class, leads: leads.collect(), wide: wide.collect(), kernel, kernel_alone }
    }

    fn row(&self, inputs: &Inputs<'_>, index: FunctionIndex, hierarchy: &mut Hierarchy) -> Row {
        let topology = inputs.topology();
        let (domains, grouping) = (inputs.domains(), inputs.grouping());
        let domain = domains.domain_of(index);
        let group = grouping.group_of.get(index).copied().flatten();
        let kernel = self.kernel.get(index).copied().flatten();
        let device = inputs.fabric().devices().device_of(index);
        let alone = [
            domain.and_then(|id| domains.get(id)).is_some_and(|domain| domain.functions().len() == 1),
            group.and_then(|id| grouping.groups.get(id)).is_some_and(|group| group.functions.len() == 1),
            kernel.is_some_and(|kernel| self.kernel_alone.contains(&kernel)),
        ];
        let devfn = topology.address(index).map_or(0, |address| address.bdf.devfn());
        Row {
            devfn: i64::from(devfn),
            kind: number(kind(inputs, index, hierarchy)),
            class: number(self.class.get(index).copied().flatten()),
            domain: number(domain),
            group: number(group),
            device: match self.wide.contains(&device) {
                true => number(Some(hierarchy.devices.add(&address(topology, device)))),
                false => -1,
            },
            kernel: kernel.map_or(-1, i64::from),
            each: [1, 2, 4].iter().zip(alone).filter(|(_, alone)| *alone).map(|(bit, _)| bit).sum(),
        }
    }
}

/// What a function has in common with others; `None` if there are too many kinds.
fn kind(inputs: &Inputs<'_>, index: FunctionIndex, hierarchy: &mut Hierarchy) -> Option<usize> {
    let topology = inputs.topology();
    let function = topology.function(index)?;
    let attributes = topology.inventory().attributes(index);
    let mut acs = serde_json::to_value(AcsDocument::new(inputs.view.linux, index, function)).ok()?;
    acs.as_object_mut()?.remove("offset");
    forget(&mut acs, &function.address.to_string());
    let kind = KindRow {
        name: inputs.view.names.function(topology, index),
        port: function.port_type().map(|port| port.to_string()),
        driver: attributes.and_then(|known| known.driver.as_deref()),
        label: inputs.fabric().initiates(index).then(|| Label::of(function.class).word()),
        is_virtual: matches!(topology.kind(index), Kind::Virtual(_) | Kind::VirtualOfUnknown),
        buses: function.bus_range().map(|range| range.to_string()),
        acs: hierarchy.acs.add_within(&acs, ACS),
    };
    hierarchy.kinds.add_within(&kind, KINDS)
}

/// What `acsscan show` says of a function in JSON, without what is said elsewhere.
fn registers(inputs: &Inputs<'_>, index: FunctionIndex) -> Option<Value> {
    let document = FunctionDocument::new(inputs.view.linux, index)?;
    let own = document.address.clone();
    let mut value = serde_json::to_value(&document).ok()?;
    let fields = value.as_object_mut()?;
    let offset = fields.remove("acs").and_then(|acs| acs.get("offset").cloned());
    fields.insert(String::from("acs_offset"), offset.unwrap_or_default());
    for told in ["address", "driver", "physical_function", "buses", "function_kind"] {
        fields.remove(told);
    }
    forget(&mut value, &own);
    Some(value)
}

/// Takes a function's own address out of the evidence about it: its neighbours' would be another.
fn forget(value: &mut Value, own: &str) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "function" || value.as_str() != Some(own));
            fields.values_mut().for_each(|value| forget(value, own));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| forget(value, own)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
