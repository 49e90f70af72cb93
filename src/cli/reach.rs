//! `p2p` and `explain`: routes, and why.

use super::args::{Common, Explain, P2p, RootComplexArg};
use super::output::Answers;
use super::{Exit, Stop, address, input};
use crate::report::Reach;
use crate::report::json::{
    AcceptedDocument, Body, ExplainDocument, ImpersonationDocument, MatrixDocument, P2pDocument,
    P2pdmaDocument, RouteDocument,
};
use crate::report::text;
use crate::report::words;
use crate::route::domains::Impersonated;
use crate::route::fabric::Fabric;
use crate::route::matrix::MAX_CLASSES;
use crate::route::p2pdma;
use crate::route::port::TlpClass;
use crate::route::{Assumptions, Disposition, RootComplex};
use crate::topology::{FunctionIndex, Topology};

/// What the options assume, of hostile functions.
pub(super) fn assumptions(common: &Common) -> Assumptions {
    Assumptions {
        hostile: true,
        root_complex: match common.root_complex {
            RootComplexArg::Isolates => RootComplex::Isolates,
            RootComplexArg::Unknown => RootComplex::Unknown,
        },
        count_relaxed_and_io: common.count_relaxed_and_io,
        trust_routing_ids: !common.distrust_routing_ids,
    }
}

/// One function that was named.
fn one(topology: &Topology, name: &str) -> Result<FunctionIndex, Stop> {
    let found = address::resolve(topology, &[name.to_owned()])?;
    found.first().copied().ok_or_else(|| Stop::Input(format!("{name}: no such function in the dump")))
}

/// The exit code of an answer about these functions.
fn exit(answers: &Answers<'_>, common: &Common, functions: &[FunctionIndex], undetermined: bool) -> Exit {
    let exit = answers.exit(common, Some(functions));
    if exit == Exit::Done && undetermined { Exit::Inconclusive } else { exit }
}

pub(super) fn p2p(common: &Common, options: &P2p) -> Result<Exit, Stop> {
    let (Some(from), Some(to)) = (&options.from, &options.to) else { return matrix(common, options) };
    let scanned = input::read(common, false)?;
    let pair = (one(&scanned.topology, from)?, one(&scanned.topology, to)?);
    let fabric = Fabric::new(&scanned.topology, &scanned.database);
    let mut answers = Answers::new(&scanned, &fabric, &assumptions(common));
    answers.keep_findings_about(&sorted(pair));
    let assumed = Assumptions { hostile: !options.as_configured, ..assumptions(common) };
    let document = p2p_document(&answers.reach(), &assumed, pair);
    answers.write(
        common,
        |_| Body::P2p(document.clone()),
        |mut out, view| text::p2p(&mut out, view, &assumed, pair, &document),
    )?;
    let counted = |class| assumed.counted().any(|counted| counted == class);
    let undetermined = TlpClass::ALL.into_iter().filter(|class| counted(*class)).any(|class| {
        let (disposition, reason) = fabric.disposition(pair.0, pair.1, class, &assumed);
        disposition == Disposition::Undetermined && reason.is_not_captured()
    });
    Ok(exit(&answers, common, &sorted(pair), undetermined))
}

fn matrix(common: &Common, options: &P2p) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let fabric = Fabric::new(&scanned.topology, &scanned.database);
    let assumed = assumptions(common);
    let matrix = fabric.matrix(&options.class, &assumed).map_err(|error| {
        Stop::Usage(format!(
            "{} classes are too many for a matrix, {MAX_CLASSES} are not: narrow it with --class",
            error.classes
        ))
    })?;
    let answers = Answers::new(&scanned, &fabric, &assumed);
    answers.write(
        common,
        |answers| Body::Matrix(MatrixDocument::new(&answers.reach(), &matrix)),
        |mut out, view| text::matrix(&mut out, view, &matrix),
    )?;
    Ok(answers.exit(common, None))
}

fn sorted((a, b): (FunctionIndex, FunctionIndex)) -> [FunctionIndex; 2] {
    [a.min(b), a.max(b)]
}

pub(super) fn explain(common: &Common, options: &Explain) -> Result<Exit, Stop> {
    let scanned = input::read(common, false)?;
    let function = one(&scanned.topology, &options.function)?;
    let other = options.other.as_deref().map(|other| one(&scanned.topology, other)).transpose()?;
    let fabric = Fabric::new(&scanned.topology, &scanned.database);
    let mut answers = Answers::new(&scanned, &fabric, &assumptions(common));
    let named = sorted((function, other.unwrap_or(function)));
    answers.keep_findings_about(&named);
    let document = ExplainDocument::new(&answers.reach(), function, other);
    answers.write(
        common,
        |_| Body::Explain(document.clone()),
        |mut out, view| text::explain(&mut out, view, function, &document),
    )?;
    Ok(exit(&answers, common, &named, false))
}

fn p2p_document(
    reach: &Reach<'_>,
    assumed: &Assumptions,
    (from, to): (FunctionIndex, FunctionIndex),
) -> P2pDocument {
    let (fabric, topology) = (reach.fabric, reach.topology());
    let routes = TlpClass::ALL.iter().map(|class| fabric.trace(from, to, *class, assumed));
    let (from_as_to, to_as_from) =
        (fabric.may_impersonate(from, to, assumed), fabric.may_impersonate(to, from, assumed));
    let message = format!("{}; {}", scope(fabric, from, from_as_to), scope(fabric, to, to_as_from));
    let mapping = p2pdma::mapping(topology, fabric.database(), to, from);
    P2pDocument {
        from: words::address(topology, from),
        to: words::address(topology, to),
        model: String::from("spec"),
        assumptions: words::assumptions(assumed),
        routes: routes.map(|route| RouteDocument::new(reach, &route)).collect(),
        impersonation: ImpersonationDocument {
            from_as_to: Some(from_as_to).filter(|can| !can || !fabric.scope(from).unproven),
            to_as_from: Some(to_as_from).filter(|can| !can || !fabric.scope(to).unproven),
            message,
            accepted: [(from_as_to, from, to), (to_as_from, to, from)]
                .into_iter()
                .find_map(|(can, from, to)| {
                    can.then(|| reach.accepted.of_impersonation(fabric, from, to)).flatten()
                })
                .map(AcceptedDocument::from),
        },
        p2pdma: P2pdmaDocument::new(topology, &mapping),
    }
}

/// Whose requester IDs a function can use, in words.
fn scope(fabric: &Fabric<'_>, index: FunctionIndex, covers_the_other: bool) -> String {
    let topology = fabric.topology();
    let scope = fabric.scope(index);
    let reach = match scope.impersonated {
        Impersonated::Nobody => {
            String::from("can use no requester ID but its device's: it stands on a root bus")
        }
        Impersonated::BusesOf(port) => {
            format!(
                "can use requester IDs of the buses below {}, which validates them",
                words::address(topology, port)
            )
        }
        Impersonated::AnyRequesterId(port) => format!(
            "can use any requester ID of the segment: no port up to {} validates them",
            words::address(topology, port)
        ),
    };
    let unproven = if scope.unproven { ", as far as the dump tells" } else { "" };
    let other = if covers_the_other { "the other's among them" } else { "not the other's" };
    format!("{} {reach}{unproven}, {other}", words::address(topology, index))
}
