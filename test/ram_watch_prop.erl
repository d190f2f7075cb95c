%% Watches against a model (ram_watch_model), on a cluster of three. Run by ram_model_SUITE.
%%
%% One process writes to several tables, on nodes of its own choice; between its writes watches
%% begin and end, and receivers acknowledge (ram_watch_gen makes all that, ram_watch_receiver is on
%% the nodes). One more receiver watches all tables from the beginning: what expires, and when, is
%% known by it. In the end each receiver must have what the model says, and no more. Debian's PropEr
%% comes without its header, hence the macro.
-module(ram_watch_prop).

-export([watches/0, use/1]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(RUN, {?MODULE, run}).
-define(TABLES, #{s => set, o => ordered_set}).
%% Those that come and go.
-define(PASSING, #{t => set, u => ordered_set}).
-define(NODES, [1, 2, 3]).
-define(ALL, ram_watch_receiver).
%% More than a message takes on a busy machine, and as long as a case that fails.
-define(LATE_MS, 5000).
%% The times that are given, two seconds, and what a busy machine is given.
-define(SETTLED_MS, 20000).
-define(AUDITOR, 1).
%% No name of a run is that of another key.
-define(END, {?MODULE, 'end'}).

-import(ram_property, [holds/1]).

-record(run, {base :: ram:rev(),
              %% The present revision, after the last write.
              upto = 0 :: integer(),
              %% The newest first.
              performed = [] :: [ram_watch_model:performed()],
              watches = [] :: [{Node :: pos_integer(), atom(), ram_watch_model:watch()}]}).

%% @doc The cluster to work on.
use(Run) ->
    persistent_term:put(?RUN, Run).

watches() ->
    ?FORALL(Keys, ram_model_gen:key_sets(),
            ?FORALL(Steps, ram_watch_gen:steps(Keys), holds(guarded(Steps)))).

%% PropEr, as it is packaged, shrinks no case that ends with an exception.
guarded(Steps) ->
    try wrong(Steps)
    catch
        Class:Reason:Stack -> [{Class, Reason, Stack}]
    end.

%% What is not as the model says.
wrong(Steps) ->
    Tables = maps:keys(?TABLES) ++ maps:keys(?PASSING) ++ [default],
    [ok = on(Node, clear, []) || Node <- ?NODES],
    Base = begin_auditing(Tables),
    Run = lists:foldl(fun step/2, #run{base = Base}, Steps),
    Watches = [{Node, Name} || {Node, Name, _} <- Run#run.watches],
    try
        [ok = on(Node, hasten, [Name]) || {Node, Name} <- Watches],
        #run{performed = Performed} = Ended = ended(Run),
        History = ram_watch_model:replay(lists:reverse(Performed), expired(Tables, Base),
                                         ram_model:new(?TABLES)),
        judged(Ended#run.watches, Base, History)
    catch
        throw:{wrong, Why} -> [Why]
    end.

%% Of all tables, those that come and go included; returns the revision then.
begin_auditing(Tables) ->
    _ = call(ram_model_call, empty, [maps:merge(?TABLES, ?PASSING)]),
    Watches = [{all, #{table => Table, events_max => 1 bsl 40}} || Table <- Tables],
    Answers = on(?AUDITOR, watch, [?ALL, Watches, each]),
    true = lists:all(fun({Ok, _}) -> Ok =:= ok end, Answers),
    [ok = call(ram, drop_table, [Table]) || Table <- maps:keys(?PASSING)],
    {true, [], Base} = call(ram, txn, [[], [], []]),
    Base.

%% The last write shows that all before was told.
ended(Run) ->
    ok = ram_peers:eventually(fun() -> on(?AUDITOR, is_settled, []) end, ?SETTLED_MS),
    #run{base = Base, upto = Upto} = Ended = write(?AUDITOR, {put, [?END, 1], none}, Run),
    IsTold = fun() ->
                     Got = on(?AUDITOR, got, [?ALL]),
                     lists:any(fun({_, Rev, _, _}) -> Rev - Base =:= Upto end, Got)
             end,
    ok = ram_peers:eventually(IsTold, ?LATE_MS),
    Ended.

step({write, Node, Operation}, Run) ->
    write(Node, Operation, Run);
step({watch, Node, Table, What, Given, Acks}, Run) ->
    #run{base = Base, upto = Upto, watches = Watches} = Run,
    Options = begins(Given, Upto),
    Name = list_to_atom("ram_watch_receiver_" ++ integer_to_list(length(Watches))),
    [Answer] = on(Node, watch, [Name, [{What, absolute(Base, Options#{table => Table})}], Acks]),
    Watch = #{table => Table, what => What, options => Options, acks => Acks, asked => Upto,
              answer => relative(Base, Answer), got => []},
    Run#run{watches = [{Node, Name, Watch} | Watches]};
step(acknowledge, #run{watches = Watches} = Run) ->
    [ok = on(Node, acknowledge, [Name]) || {Node, Name, #{acks := asked}} <- Watches],
    Run;
step({unwatch, _N}, #run{watches = []} = Run) ->
    Run;
step({unwatch, N}, #run{watches = Watches} = Run) ->
    {Node, Name, _} = lists:nth(N rem length(Watches) + 1, Watches),
    ok = on(Node, unwatch, [Name]),
    Run;
step({pause, Ms}, Run) ->
    timer:sleep(Ms),
    Run.

write(Node, Operation, #run{base = Base, performed = Performed} = Run) ->
    {Answer, Upto} = on(Node, perform, [Base, Operation]),
    Run#run{upto = Upto, performed = [{Operation, Answer, Upto} | Performed]}.

begins(#{from := {ago, N}} = Options, Upto) -> Options#{from := max(1, Upto - N)};
begins(#{from := {ahead, N}} = Options, Upto) -> Options#{from := Upto + N};
begins(Options, _Upto) -> Options.

absolute(Base, #{from := From} = Options) -> Options#{from := Base + From};
absolute(_Base, Options) -> Options.

relative(Base, {ok, Rev}) -> {ok, Rev - Base};
relative(Base, {error, {compacted, Oldest}}) -> {error, {compacted, Oldest - Base}};
relative(_Base, {raised, _} = Raised) -> Raised.

%% Writes of which nothing else was told than that keys have expired.
expired(Tables, Base) ->
    Told = [{Rev - Base, lists:nth(Which, Tables), Events}
            || {Which, Rev, Events, _} <- on(?AUDITOR, got, [?ALL])],
    IsExpired = fun({delete, _, expired}) -> true; (_) -> false end,
    Others = [Rev || {Rev, _, Events} <- Told, not lists:all(IsExpired, Events)],
    Expired = [{Rev, {Table, Key}} || {Rev, Table, Events} <- Told, not lists:member(Rev, Others),
                                      {delete, Key, _} <- Events],
    maps:map(fun(Rev, _) -> [Place || {Of, Place} <- Expired, Of =:= Rev] end,
             maps:from_list(Expired)).

%% When each has what it should have, or for too long has not, all are ended; nothing more has come.
judged(Watches, Base, History) ->
    Wrong = fun(Got) ->
                    [{Node, Watch, Why}
                     || {Node, Name, Watch} <- Watches,
                        Why <- ram_watch_model:wrong(Watch#{got := got(Got(Node, Name), Base)},
                                                     History)]
            end,
    Now = fun(Node, Name) -> on(Node, got, [Name]) end,
    IsMissing = fun({_, _, {missing, _}}) -> true; (_) -> false end,
    IsDecided = fun() ->
                        Told = Wrong(Now),
                        Told =:= [] orelse not lists:all(IsMissing, Told)
                end,
    try ok = ram_peers:eventually(IsDecided, ?LATE_MS)
    catch error:_ -> late
    end,
    [on(Node, stop, [Name]) || {Node, Name, _} <- Watches],
    Wrong(Now).

got(Got, Base) ->
    [{relative_rev(Rev, Base), What, Unacked} || {_Which, Rev, What, Unacked} <- Got].

%% 0 is that of a watch that was lost before anything.
relative_rev(0, _Base) -> 0;
relative_rev(Rev, Base) -> Rev - Base.

call(Module, Function, Arguments) ->
    ram_peers:call(persistent_term:get(?RUN), ?AUDITOR, Module, Function, Arguments).

on(Node, Function, Arguments) ->
    ram_peers:call(persistent_term:get(?RUN), Node, ram_watch_receiver, Function, Arguments).
