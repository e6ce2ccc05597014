// Which series of a study is hung in which place, by what was recognised of them.
import { findingsIn } from './findings.js';

const NOT_TOLD = 0.5; // the probability of what nobody can tell

const header = displaySet => displaySet.instances?.[0] ?? displaySet.instance ?? {};

/** Return the display sets with images, each with its findings; localizers are left out. */
export function recognised(displaySets) {
  const findings = findingsIn(displaySets);
  return displaySets
    .filter(({ Modality, images }) => ['CT', 'MR'].includes(Modality) && images?.length)
    .map(displaySet => ({ displaySet, found: findings(displaySet) }))
    .filter(({ found }) => found && !found.localizer);
}

/** Return the probability that a series is what a place asks for; 0 where it is something else. */
function fit(found, { sequences, plane, contrast, region, orUntold }) {
  const sure = key => found.probability[key] ?? NOT_TOLD;
  const contrastFits = () => {
    if (found.contrast === undefined) {
      return orUntold ? NOT_TOLD : 0;
    }
    return found.contrast === contrast ? sure('contrast') : 0;
  };
  return (
    (sequences.includes(found.sequence) ? sure('sequence') : 0) *
    (plane === undefined ? 1 : found.plane === plane ? sure('plane') : 0) *
    (contrast === undefined ? 1 : contrastFits()) *
    (region === undefined ? 1 : found.coverage.includes(region) ? sure(`coverage ${region}`) : 0)
  );
}

const compare = (one, other) => (one === other ? 0 : one < other ? -1 : 1);

/** An order that depends on nothing but the series: by number, UID, images, first instance. */
function inOrder(one, other) {
  const number = ({ SeriesNumber }) => Number(SeriesNumber) || 0;
  return (
    number(one) - number(other) ||
    compare(one.SeriesInstanceUID, other.SeriesInstanceUID) ||
    other.images.length - one.images.length ||
    compare(header(one).SOPInstanceUID, header(other).SOPInstanceUID)
  );
}

/** Return what fits a place best: acquired before derived, axial first, then the more probable. */
function best(series, place) {
  const axial = ({ found }) => Number(found.plane === 'axial');
  const derived = ({ found }) => Number(found.derived === true);
  return series
    .map(candidate => ({ ...candidate, fit: fit(candidate.found, place) }))
    .filter(candidate => candidate.fit > 0)
    .sort(
      (one, other) =>
        derived(one) - derived(other) ||
        axial(other) - axial(one) ||
        other.fit - one.fit ||
        inOrder(one.displaySet, other.displaySet)
    )[0]?.displaySet;
}

/** Return the places that something was found for, in their order; none of fewer than two. */
function filled(series, places) {
  const shown = places
    .map(place => ({ id: place.id, displaySet: best(series, place) }))
    .filter(({ displaySet }) => displaySet);
  return shown.length < 2 ? [] : shown;
}

const T1 = ['T1', 'T1-FLAIR']; // where T1 is acquired with an inversion, as at 3 T, it is no other
const LIVER = { sequences: ['CT'], region: 'liver' };
const BRAIN = { region: 'brain' };
const SAGITTAL = { plane: 'sagittal' };

/** Liver CT: before the agent | with it. */
export const phases = series =>
  filled(series, [
    { ...LIVER, id: 'noncontrast', contrast: 'noncontrast' },
    { ...LIVER, id: 'contrast', contrast: 'contrast' },
  ]);

/** Brain MR: T1, T1 with agent, T2, FLAIR. A T1 of which nobody can tell is taken for plain. */
export const brain = series =>
  filled(series, [
    { ...BRAIN, id: 't1', sequences: T1, contrast: 'noncontrast', orUntold: true },
    { ...BRAIN, id: 't1-contrast', sequences: T1, contrast: 'contrast' },
    { ...BRAIN, id: 't2', sequences: ['T2'] },
    { ...BRAIN, id: 'flair', sequences: ['T2-FLAIR'] },
  ]);

// None of the regions that are recognised is the spine; header and descriptions may name it.
const SPINE = /spine|spinal|lumb|sacr|cervical|thoracic|vertebr|wirbel|rachis|column|\b[hbl]ws\b/i;
const NO_SPINE = ['brain', 'breast', 'pelvis']; // beside a spine nobody can tell of these

function ofSpine({ displaySet, found }) {
  const { BodyPartExamined, SeriesDescription, StudyDescription, ProtocolName } =
    header(displaySet);
  const texts = [BodyPartExamined, SeriesDescription, StudyDescription, ProtocolName];
  return (
    !found.coverage.some(region => NO_SPINE.includes(region)) &&
    texts.some(text => typeof text === 'string' && SPINE.test(text.slice(0, 64)))
  );
}

/** Spine: sagittal T1 | T2. */
export const spine = series =>
  filled(series.filter(ofSpine), [
    { ...SAGITTAL, id: 't1', sequences: T1, contrast: 'noncontrast', orUntold: true },
    { ...SAGITTAL, id: 't2', sequences: ['T2'] },
  ]);

const when = displaySet => {
  const { StudyDate = '', StudyTime = '', StudyInstanceUID } = header(displaySet);
  return `${StudyDate} ${StudyTime} ${StudyInstanceUID}`;
};

const patient = displaySet => {
  const { PatientID, IssuerOfPatientID } = header(displaySet);
  return PatientID ? JSON.stringify([PatientID, IssuerOfPatientID ?? '']) : undefined;
};

const FROM_NEWEST = (one, other) => compare(when(other.displaySet), when(one.displaySet));

/** How alike two series are: sequence, plane, contrast and a region are the same. */
function likeness(one, other) {
  const shared = one.coverage.filter(region => other.coverage.includes(region));
  const { sequence, plane, contrast } = one;
  if (sequence === undefined || plane === undefined) {
    return 0;
  }
  const ask = region => ({ sequences: [sequence], plane, contrast, region });
  const both = region => fit(one, ask(region)) * fit(other, ask(region));
  return contrast === other.contrast ? Math.max(0, ...shared.map(both)) : 0;
}

/** Return the newest study's series, and the same of the newest earlier one of its patient. */
export function currentAndPrior(series) {
  const sorted = [...series].sort(
    (one, other) => FROM_NEWEST(one, other) || inOrder(one.displaySet, other.displaySet)
  );
  const study = ({ displaySet }) => displaySet.StudyInstanceUID;
  const current = sorted.filter(candidate => study(candidate) === study(sorted[0]));
  const [{ displaySet: newest }] = sorted.length ? sorted : [{ displaySet: {} }];
  const earlier = sorted.filter(
    candidate =>
      study(candidate) !== newest.StudyInstanceUID &&
      patient(candidate.displaySet) !== undefined &&
      patient(candidate.displaySet) === patient(newest)
  );
  const pairs = current
    .flatMap(one =>
      earlier.map(other => ({ one, other, alike: likeness(one.found, other.found) }))
    )
    .filter(({ alike }) => alike > 0)
    .sort((a, b) => FROM_NEWEST(a.other, b.other) || b.alike - a.alike);
  return pairs
    .slice(0, 1)
    .flatMap(({ one, other }) => [
      { id: 'current', displaySet: one.displaySet },
      { id: 'prior', displaySet: other.displaySet },
    ]);
}

/** Return the series of the newest study. */
export function ofNewest(series) {
  const [newest] = [...series].sort(FROM_NEWEST);
  return series.filter(
    ({ displaySet }) => displaySet.StudyInstanceUID === newest.displaySet.StudyInstanceUID
  );
}
