// Structured reports as a person reads them. OHIF 3.12 opens an Imaging Measurement Report black
// where nothing in it is drawn (OHIF/Viewers#3390), and of several documents in one series it
// shows the text of the first, though it takes the last for the one that counts.

const DRAWN = ['SCOORD', 'SCOORD3D'];

const list = value => (value === undefined || value === null ? [] : [].concat(value));

/** Whether anything in a tree of content items lies on an image. */
function isDrawn(item) {
  return (
    DRAWN.includes(item.ValueType) || list(item.ContentSequence).some(child => isDrawn(child))
  );
}

/**
 * Have a report opened as text where OHIF would open it black, and the last document of a series
 * where it supersedes the others; in place.
 */
export function readable(displaySet) {
  const { instance } = displaySet;
  if (displaySet.Modality !== 'SR' || !instance) {
    return;
  }
  if (displaySet.isImagingMeasurementReport && !isDrawn(instance)) {
    displaySet.isImagingMeasurementReport = false;
  }
  if (list(instance.PredecessorDocumentsSequence).length) {
    displaySet.instances = [instance];
  }
}

let watching;

/** Look at every display set that comes, of the study that is opened and of those before it. */
export function watch({ displaySetService }) {
  watching?.unsubscribe(); // of the mode before this one
  watching = displaySetService.subscribe(
    displaySetService.EVENTS.DISPLAY_SETS_ADDED,
    ({ displaySetsAdded }) => list(displaySetsAdded).forEach(readable)
  );
}
