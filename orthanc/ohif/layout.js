// The parts of a protocol, as OHIF's hanging protocol service wants them.

const NOBODY = 'no study';

/** A selector of one display set; of none where there is none. */
export function only(displaySet) {
  return {
    seriesMatchingRules: [
      {
        attribute: 'displaySetInstanceUID',
        constraint: { equals: { value: displaySet?.displaySetInstanceUID ?? NOBODY } },
        required: true,
        weight: 10,
      },
    ],
  };
}

/** One pane. Those with the same `scrolls` scroll together; without an index it opens amid. */
export function viewport(viewportId, displaySets, { index, scrolls } = {}) {
  return {
    viewportOptions: {
      viewportId,
      viewportType: 'stack',
      toolGroupId: 'default',
      initialImageOptions: index === undefined ? { preset: 'middle' } : { index },
      syncGroups: scrolls
        ? [{ type: 'imageSlice', id: scrolls, source: true, target: true }]
        : [],
    },
    displaySets,
  };
}

// A rule that is not required and fails takes nothing away: one of the studies is enough.
function ruleOf(study, weight) {
  return {
    id: 'has what is hung',
    attribute: 'StudyInstanceUID',
    constraint: { equals: { value: study } },
    weight,
  };
}

/** A protocol of one stage. Of those that fit OHIF takes the one with the greatest weight. */
export function protocolOf({ id, name, weight, studies, selectors, grid, viewports }) {
  const [first] = Object.keys(selectors);
  return {
    id,
    name,
    locked: true,
    numberOfPriorsReferenced: 0,
    protocolMatchingRules: (studies.length ? studies : [NOBODY]).map(study =>
      ruleOf(study, weight)
    ),
    toolGroupIds: ['default'],
    displaySetSelectors: selectors,
    defaultViewport: {
      viewportOptions: { viewportType: 'stack', toolGroupId: 'default', allowUnmatchedView: true },
      displaySets: [{ id: first, matchedDisplaySetsIndex: -1 }],
    },
    stages: [
      {
        id: 'all',
        name,
        stageActivation: { enabled: { minViewportsMatched: 2 } },
        viewportStructure: { layoutType: 'grid', properties: grid },
        viewports,
      },
    ],
  };
}

const plane = ({ instances }) => {
  const orientation = instances?.[0]?.ImageOrientationPatient;
  return Array.isArray(orientation) ? orientation.map(value => Number(value).toFixed(2)) : [];
};

/** Series scroll together that are cut alike in one frame of reference (PS3.3 C.7.4.1). */
const scrollsWith = displaySet =>
  [displaySet.instances?.[0]?.FrameOfReferenceUID, ...plane(displaySet)].join(' ');

/** A protocol of one series a pane, in a row, four in two; it fits no study where none is shown. */
export function sideBySide({ id, name, weight, shown }) {
  const rows = shown.length > 3 ? 2 : 1;
  const none = { id: 'none', displaySet: undefined };
  const panes = shown.length ? shown : [none];
  return protocolOf({
    id,
    name,
    weight,
    studies: [...new Set(shown.map(({ displaySet }) => displaySet.StudyInstanceUID))],
    selectors: Object.fromEntries(panes.map(pane => [pane.id, only(pane.displaySet)])),
    grid: { rows, columns: Math.ceil(panes.length / rows) },
    viewports: panes.map(pane =>
      viewport(pane.id, [{ id: pane.id }], {
        scrolls: pane.displaySet && scrollsWith(pane.displaySet),
      })
    ),
  });
}
