// Settings of OHIF 3.12 on the PACS beside radnet-node; read by its index.html as they stand.
// The data source is on the page's own origin: orthanc/viewer.py serves both.
(() => {
  let hanging; // the modules below, once they are read
  let reports;

  window.config = {
    name: 'radnet-node',
    routerBasename: null,
    showStudyList: true,
    maxNumberOfWebWorkers: 2,
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: false,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    investigationalUseDialog: { option: 'never' },
    disableConfirmationPrompts: true, // else a segmentation asks "open?" before it is shown
    maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 10 },
    modes: [],
    customizationService: {},
    extensions: [
      {
        id: '@radnet/hanging',
        async preRegistration({ servicesManager }) {
          hanging = await import('/radnet/hanging.js');
          reports = await import('/radnet/reports.js');
          hanging.registerAttributes(servicesManager);
        },
        onModeEnter: ({ servicesManager }) => reports.watch(servicesManager.services),
        getHangingProtocolModule: ({ servicesManager }) => hanging.protocols(servicesManager),
      },
    ],
    modesConfiguration: {
      '@ohif/mode-longitudinal': {
        // Of those that fit the study OHIF takes the one with the greatest weight; 'default' fits
        // every study.
        hangingProtocol: {
          $set: [
            '@radnet/liver',
            '@radnet/prior',
            '@radnet/phases',
            '@radnet/brain',
            '@radnet/spine',
            'default',
          ],
        },
      },
    },
    defaultDataSourceName: 'pacs',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'pacs',
        configuration: {
          friendlyName: 'PACS beside radnet-node',
          name: 'pacs',
          qidoRoot: '/dicom-web',
          wadoRoot: '/dicom-web',
          wadoUriRoot: '/wado',
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          enableStudyLazyLoad: true,
          qidoSupportsIncludeField: true,
          supportsWildcard: true,
          supportsFuzzyMatching: false,
          supportsReject: false,
          supportsStow: false, // one may look here; images come through the node
          omitQuotationForMultipartRequest: true,
          bulkDataURI: { enabled: true },
        },
      },
    ],
  };
})();
