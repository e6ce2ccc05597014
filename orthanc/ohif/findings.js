// What a radnet-node recognised of each series, out of the study's recognition report.
//
// OHIF has read the metadata of every series of the study by DICOMweb before it matches protocols;
// the report's content is among them, so that nothing more is asked for. Whoever may store in the
// PACS may store such a report: of it only codes that we know, numbers and the UIDs of series are
// taken, no text, and what is not as the node writes it is passed over without a word.
import {
  CONCEPTS,
  IMAGING_MEASUREMENTS,
  MEASUREMENT_GROUP,
  PROBABILITY,
  SERIES_INSTANCE_UID,
  TITLE,
} from './codes.js';

const MOST_SERIES = 2000; // of a report; further ones are passed over
const MOST_ITEMS = 200; // of a list within

const list = value => (value === undefined || value === null ? [] : [].concat(value));

const items = parent => list(parent?.ContentSequence).slice(0, MOST_ITEMS);

function code(sequence) {
  const [item] = list(sequence);
  return `${item?.CodeValue} ${item?.CodingSchemeDesignator}`;
}

const nameOf = item => code(item?.ConceptNameCodeSequence);

const known = (table, key) => (Object.hasOwn(table, key) ? table[key] : undefined);

function probabilityOf(answer) {
  const number = items(answer).find(item => nameOf(item) === PROBABILITY);
  const text = list(number?.MeasuredValueSequence)[0]?.NumericValue;
  const value = text === undefined || text === null || text === '' ? NaN : Number(text);
  return value >= 0 && value <= 1 ? value : undefined;
}

/** Put an answer into what is known of a series; the first of two answers stays. */
function take(found, item) {
  const concept = known(CONCEPTS, nameOf(item));
  const value = concept && known(concept.values, code(item.ConceptCodeSequence));
  if (value === undefined) {
    return; // unknown, or of a newer version
  }
  const { name, several } = concept;
  if (several) {
    if (!found[name].includes(value)) {
      found[name].push(value);
      found.probability[`${name} ${value}`] = probabilityOf(item);
    }
  } else if (found[name] === undefined) {
    found[name] = value;
    found.probability[name] = probabilityOf(item);
  }
}

function readGroup(group) {
  const series = items(group).find(item => nameOf(item) === SERIES_INSTANCE_UID)?.UID;
  if (nameOf(group) !== MEASUREMENT_GROUP || typeof series !== 'string') {
    return undefined;
  }
  const found = { series, coverage: [], coverage_unknown: [], probability: {} };
  items(group)
    .filter(item => item?.ValueType === 'CODE')
    .forEach(item => take(found, item));
  return found;
}

/** Whether an instance is a recognition report. */
export const isReport = instance => nameOf(instance) === TITLE;

/** Return the findings of each series of a report, by Series Instance UID; empty of a broken one. */
export function readReport(report) {
  const found = new Map();
  try {
    items(report)
      .filter(item => nameOf(item) === IMAGING_MEASUREMENTS)
      .flatMap(item => list(item.ContentSequence))
      .slice(0, MOST_SERIES)
      .map(readGroup)
      .filter(series => series)
      .reverse() // of two groups about one series the first stays
      .forEach(series => found.set(series.series, series));
  } catch {
    found.clear();
  }
  return found;
}

/** Order reports: the latest revision last; of two with one number that of the lower UID. */
function byRevision(one, other) {
  const revision = report => Number(report.InstanceNumber) || 0;
  return revision(one) - revision(other) || (one.SOPInstanceUID < other.SOPInstanceUID ? 1 : -1);
}

const read = new WeakMap(); // OHIF asks for each rule of each protocol

function readOnce(report) {
  if (!read.has(report)) {
    read.set(report, readReport(report));
  }
  return read.get(report);
}

/**
 * Return what is known of the series of display sets: a function of a display set that returns
 * its findings, or undefined. A report speaks of the series of its own study alone.
 */
export function findingsIn(displaySets) {
  const reports = new Map();
  displaySets
    .filter(({ Modality }) => Modality === 'SR')
    .flatMap(({ instances, instance }) => list(instances ?? instance))
    .filter(isReport)
    .sort(byRevision)
    .forEach(report => reports.set(report.StudyInstanceUID, report));
  return ({ StudyInstanceUID, SeriesInstanceUID }) =>
    reports.has(StudyInstanceUID)
      ? readOnce(reports.get(StudyInstanceUID)).get(SeriesInstanceUID)
      : undefined;
}
