SELECT count(:call) FROM :rows;
