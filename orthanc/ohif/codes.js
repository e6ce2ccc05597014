// The codes of findings in a recognition report, as node/model/findings.py writes them; a test
// compares the two. A key is "value scheme".

export const TITLE = 'RECOGNITION 99RADNET';
export const IMAGING_MEASUREMENTS = '126010 DCM';
export const MEASUREMENT_GROUP = '125007 DCM';
export const SERIES_INSTANCE_UID = '112002 DCM';
export const PROBABILITY = '122157 DCM';

const YES_NO = { '373067005 SCT': false, '373066001 SCT': true };
const REGIONS = {
  '12738006 SCT': 'brain',
  '69536005 SCT': 'upper_head_neck',
  '45048000 SCT': 'lower_head_neck',
  '39607008 SCT': 'lung',
  '76752008 SCT': 'breast',
  '10200004 SCT': 'liver',
  '64033007 SCT': 'kidney',
  '113276009 SCT': 'intestine',
  '816092008 SCT': 'pelvis',
};

/** Of each concept: the name of the finding, its values by code, and whether it has several. */
export const CONCEPTS = {
  'SEQUENCE 99RADNET': {
    name: 'sequence',
    values: {
      'CT DCM': 'CT',
      '110804 DCM': 'T1',
      '110805 DCM': 'T2',
      'T1-FLAIR 99RADNET': 'T1-FLAIR',
      'T2-FLAIR 99RADNET': 'T2-FLAIR',
      'STIR 99RADNET': 'STIR',
      'OTHER 99RADNET': 'other',
    },
  },
  '130546 DCM': {
    name: 'plane',
    values: { '24422004 SCT': 'axial', '81654009 SCT': 'coronal', '30730003 SCT': 'sagittal' },
  },
  '122086 DCM': {
    name: 'contrast',
    values: { '373067005 SCT': 'noncontrast', '373066001 SCT': 'contrast' },
  },
  '123014 DCM': { name: 'coverage', values: REGIONS, several: true },
  'REGION_UNKNOWN 99RADNET': { name: 'coverage_unknown', values: REGIONS, several: true },
  '121311 DCM': { name: 'localizer', values: YES_NO },
  'DERIVED 99RADNET': { name: 'derived', values: YES_NO },
};
