// The hanging protocols of radnet-node, as OHIF's extension manager wants them.
import { brain, currentAndPrior, ofNewest, phases, recognised, spine } from './choosing.js';
import { findingsIn } from './findings.js';
import { sideBySide } from './layout.js';
import { liverProtocol } from './liver.js';

const OF_ONE_STUDY = [
  { id: '@radnet/phases', name: 'Liver CT: noncontrast | contrast', weight: 90, choose: phases },
  { id: '@radnet/brain', name: 'Brain MR: T1 | T1 + agent | T2 | FLAIR', weight: 80, choose: brain },
  { id: '@radnet/spine', name: 'Spine: sagittal T1 | T2', weight: 70, choose: spine },
];
const PRIOR = { id: '@radnet/prior', name: 'Current | prior', weight: 200 };

function studyProtocol({ choose, ...about }, displaySets) {
  return sideBySide({ ...about, shown: choose(ofNewest(recognised(displaySets))) });
}

const priorProtocol = displaySets =>
  sideBySide({ ...PRIOR, shown: currentAndPrior(recognised(displaySets)) });

/**
 * Return the module of hanging protocols. Each is a generator: OHIF asks for it anew when it
 * matches a study, and it is made of the display sets that are there then.
 */
export function protocols(servicesManager) {
  const displaySets = () => servicesManager.services.displaySetService.getActiveDisplaySets();
  const generated = (name, make) => ({ name, protocol: () => ({ protocol: make(displaySets()) }) });
  return [
    generated('@radnet/liver', liverProtocol),
    generated(PRIOR.id, priorProtocol),
    ...OF_ONE_STUDY.map(about => generated(about.id, sets => studyProtocol(about, sets))),
  ];
}

const ATTRIBUTES = {
  radnetSequence: found => found.sequence,
  radnetPlane: found => found.plane,
  radnetContrast: found => found.contrast,
  radnetCoverage: found => found.coverage,
};

/** Register the findings of a series as attributes that a site's own protocols can match. */
export function registerAttributes({ services }) {
  const { displaySetService, hangingProtocolService } = services;
  const found = displaySet => findingsIn(displaySetService.getActiveDisplaySets())(displaySet);
  for (const [id, value] of Object.entries(ATTRIBUTES)) {
    hangingProtocolService.addCustomAttribute(id, `${id} (3D-RADNet)`, displaySet => {
      const known = found(displaySet ?? {});
      return known && value(known);
    });
  }
}
