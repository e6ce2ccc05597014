// CT | CT + SEG: the scan, and beside it the same scan with the liver that the node segmented,
// both opened at the liver's middle slice.

import { only, protocolOf, viewport } from './layout.js';

const MANUFACTURER = 'radnet-node project'; // as node/identity.py writes it

const list = value => (value === undefined || value === null ? [] : [].concat(value));

/** Whether a display set is a segmentation that a radnet-node made (Contributing Equipment). */
function isOurs(displaySet) {
  const equipment = list(displaySet.instance?.ContributingEquipmentSequence);
  return (
    displaySet.Modality === 'SEG' && equipment.some(item => item.Manufacturer === MANUFACTURER)
  );
}

/** The SOP Instance UIDs of the slices that hold liver, in the order of the frames. */
function slicesOf(segmentation) {
  return list(segmentation.instance.PerFrameFunctionalGroupsSequence).map(
    frame =>
      list(list(frame.DerivationImageSequence)[0]?.SourceImageSequence)[0]
        ?.ReferencedSOPInstanceUID
  );
}

function scanOf(segmentation, displaySets) {
  const [reference] = list(segmentation.instance.ReferencedSeriesSequence);
  return displaySets.find(
    displaySet =>
      displaySet.Modality === 'CT' &&
      displaySet.SeriesInstanceUID === reference?.SeriesInstanceUID
  );
}

/**
 * Order candidates: the latest revision of one scan, then where most slices hold liver, then by
 * UID, so that a study opens the same each time.
 */
function byMerit(one, other) {
  const sameScan = one.scan === other.scan;
  const revision = ({ segmentation }) => Number(segmentation.instance.InstanceNumber) || 0;
  return (
    (sameScan && revision(other) - revision(one)) ||
    slicesOf(other.segmentation).length - slicesOf(one.segmentation).length ||
    (one.scan.SeriesInstanceUID < other.scan.SeriesInstanceUID ? -1 : 1)
  );
}

/** The scan and the segmentation that are hung; undefined where the study has no pair. */
export function liverPair(displaySets) {
  return displaySets
    .filter(isOurs)
    .map(segmentation => ({ segmentation, scan: scanOf(segmentation, displaySets) }))
    .filter(pair => pair.scan)
    .sort(byMerit)[0];
}

/** The index in the scan's stack of the slice in the middle of those that hold liver. */
export function middleSlice({ scan, segmentation }) {
  const indices = slicesOf(segmentation)
    .map(uid => scan.images.findIndex(image => image.SOPInstanceUID === uid))
    .filter(index => index >= 0)
    .sort((one, other) => one - other);
  return indices[Math.floor(indices.length / 2)];
}

/** Return the protocol for the display sets that are there now; it fits no study without a pair. */
export function liverProtocol(displaySets) {
  const pair = liverPair(displaySets);
  const amid = { index: pair && middleSlice(pair), scrolls: 'liver' };
  return protocolOf({
    id: '@radnet/liver',
    name: 'Liver: CT | CT + SEG',
    weight: 100,
    studies: pair ? [pair.scan.StudyInstanceUID] : [],
    selectors: { ct: only(pair?.scan), seg: only(pair?.segmentation) },
    grid: { rows: 1, columns: 2 },
    viewports: [
      viewport('ct', [{ id: 'ct' }], amid),
      viewport('ct+seg', [{ id: 'ct' }, { id: 'seg' }], amid),
    ],
  });
}
