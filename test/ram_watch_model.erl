%% What watches are told, as a pure function of what was written: for ram_watch_prop. It shares no
%% code with ram.
%%
%% A run is written by one process, so each revision is that of one of its operations, or of keys
%% that expired; the latter are known by watches of everything. replay/3 makes the history of that:
%% the state of ram_model at each revision. wrong/2 holds a watch against it. Revisions are counted
%% from the one at which the run began.
-module(ram_watch_model).

-export([replay/3, final/1, wrong/2]).
-export_type([performed/0, expired/0, history/0, watch/0, message/0]).

%% No later write was made when the present revision was `Upto'.
-type performed() :: {ram_model:operation() | nothing, Answer :: term(), Upto :: rev()}.
-type rev() :: integer().
-type expired() :: #{rev() => [{Table :: atom(), Key :: term()}]}.
-type history() :: #{rev() => {Why :: begun | expired | ram_model:operation(), ram_model:state()}}.
%% `Unacked': how many events the receiver had then that it had not acknowledged.
-type message() :: {rev(), [tuple()] | initial_done | lost | unwatched, Unacked :: integer()}.
%% `asked': when it began, the present revision was at least that.
-type watch() :: #{table := atom(), what := term(), options := map(), acks := each | asked | never,
                   asked := rev(), answer := term(), got := [message()]}.

-define(EVENTS_MAX, 1024).
-define(BYTES_MAX, 16 bsl 20).
%% The least that an event takes while it waits.
-define(EVENT_BYTES, 128).

%%% The history

%% @doc Throws `{wrong, _}' where an answer, or what has expired, is not what the model says.
-spec replay([performed()], expired(), ram_model:state()) -> history().
replay(Performed, Expired, State) ->
    Step = fun(Each, History) -> step(Each, Expired, History) end,
    lists:foldl(Step, #{0 => {begun, State}}, Performed).

step({Operation, Answer, Upto}, Expired, History) ->
    Revs = lists:seq(newest(History) + 1, Upto),
    case [Rev || Rev <- Revs, not is_map_key(Rev, Expired)] of
        [] ->
            Histories = histories(Revs, Expired, History),
            lists:any(fun(Of) -> is_answered(Operation, Answer, final(Of)) end, Histories)
                orelse throw({wrong, {Operation, Answer, [final(Of) || Of <- Histories]}}),
            lists:last(Histories);
        [Rev] when Operation =/= nothing ->
            Before = expire(lists:seq(newest(History) + 1, Rev - 1), Expired, History),
            Written = Before#{Rev => {Operation, written(Operation, Answer, Rev, final(Before))}},
            expire(lists:seq(Rev + 1, Upto), Expired, Written);
        Unknown ->
            throw({wrong, {nobody_wrote, Unknown, Operation}})
    end.

written(Operation, Answer, Rev, State) ->
    {Expected, After} = ram_model:run(Operation, State),
    ram_model:agrees(Expected, Answer) andalso maps:get(rev, After) =:= Rev
        orelse throw({wrong, {Operation, Answer, Rev, {expected, Expected, State}}}),
    After.

is_answered(nothing, _Answer, _State) ->
    true;
is_answered(Operation, Answer, State) ->
    {Expected, After} = ram_model:run(Operation, State),
    After =:= State andalso ram_model:agrees(Expected, Answer).

%% Without any of these revisions, with the first, and so on.
histories([], _Expired, History) ->
    [History];
histories([Rev | Revs], Expired, History) ->
    [History | histories(Revs, Expired, expire([Rev], Expired, History))].

expire(Revs, Expired, History) ->
    lists:foldl(fun(Rev, Of) -> Of#{Rev => {expired, gone(maps:get(Rev, Expired), final(Of))}} end,
                History, Revs).

gone(Keys, State) ->
    Stays = [Place || {Table, Key} = Place <- Keys, stays(content(Table, State), Key)],
    Stays =:= [] orelse throw({wrong, {expired, Stays, State}}),
    ram_model:expire(Keys, State).

stays(Content, Key) ->
    case Content of
        #{Key := #{ttl := Ttl}} -> Ttl =:= infinity;
        #{} -> true
    end.

newest(History) -> lists:max(maps:keys(History)).

%% @doc The newest state.
-spec final(history()) -> ram_model:state().
final(History) -> at(newest(History), History).

at(Rev, History) -> element(2, maps:get(Rev, History)).

content(Table, #{tables := Tables}) ->
    element(2, maps:get(Table, Tables, {none, #{}})).

%%% A watch

%% @doc What is not as it should be, when all has been sent; `{missing, _}' is what may still come.
-spec wrong(watch(), history()) -> [term()].
wrong(#{answer := {raised, Reason}} = Watch, History) ->
    [{raised, Reason} || Reason =/= refused(Watch, History)];
wrong(#{answer := {error, {compacted, Oldest}}, table := Table, options := Options}, History) ->
    %% A table that nobody on the node watched has lost something there when it was dropped.
    IsMissed = case History of
                   #{Oldest - 1 := {{drop_table, [Table], _}, _}} -> true;
                   #{} -> false
               end,
    [{compacted, Oldest} || not IsMissed orelse maps:get(from, Options, Oldest) >= Oldest];
wrong(#{answer := {ok, Begun}, got := Got} = Watch, History) ->
    {Sent, Ended} = lists:splitwith(fun({_, What, _}) -> not is_end(What) end, Got),
    {Initial, Changes} = parts(Sent, Watch),
    Told = [{Rev, What} || {Rev, What, _} <- Changes],
    Expected = expected(Watch, History),
    [{refused, Reason} || Reason <- [refused(Watch, History)], Reason =/= none]
        ++ [{begun, Begun} || not may_begin(Watch, History)]
        ++ [{after_the_end, Ended} || length(Ended) > 1]
        ++ wrong_initial(Initial, Watch, History)
        ++ without_credit(Sent, Watch)
        ++ not_first(Told, Expected)
        ++ wrong_end(ended(Ended), Initial, Told, Expected, Watch, History).

is_end(What) -> What =:= lost orelse What =:= unwatched.

ended([]) -> no;
ended([{Rev, lost, _} | _]) -> {lost, Rev};
ended([{_, unwatched, _} | _]) -> unwatched.

refused(#{table := Table, what := What, asked := Asked}, History) ->
    #{tables := Tables} = at(Asked, History),
    case Tables of
        #{Table := {set, _}} when element(1, What) =:= prefix; element(1, What) =:= range -> badarg;
        #{Table := _} -> none;
        #{} -> {no_table, Table}
    end.

may_begin(#{answer := {ok, Begun}, options := #{from := From}}, _History) ->
    Begun =:= From - 1;
may_begin(#{answer := {ok, Begun}, asked := Asked}, History) ->
    Begun >= Asked andalso Begun =< newest(History).

%% What was there, up to the word that it was all; and the changes.
parts(Sent, #{options := #{initial := true}}) ->
    case lists:splitwith(fun({_, What, _}) -> What =/= initial_done end, Sent) of
        {Initial, []} -> {{Initial, none}, []};
        {Initial, [{Rev, initial_done, _} | Changes]} -> {{Initial, Rev}, Changes}
    end;
parts(Sent, _Watch) ->
    {{[], none}, Sent}.

wrong_initial({Messages, Done}, #{answer := {ok, Begun}, options := Options} = Watch, History) ->
    Told = lists:append([Events || {_, Events, _} <- Messages]),
    There = [told({put, Key, Value, error}, Options) || {Key, Value} <- there(Watch, History)],
    [{initial_of, Rev} || {Rev, _, _} <- Messages, Rev =/= Begun]
        ++ [{never_there, Told -- There} || Told -- There =/= []]
        ++ [{initial_done, Done} || Done =/= none, Done =/= Begun]
        ++ [{not_told, There -- Told} || Done =/= none, There -- Told =/= []].

%% Of what the watch begins with.
there(#{options := #{initial := true}, answer := {ok, Begun}} = Watch, History) ->
    #{table := Table, what := What} = Watch,
    [{Key, Value} || {Key, #{value := Value}} <- maps:to_list(content(Table, at(Begun, History))),
                     covers(What, Key)];
there(_Watch, _History) ->
    [].

%% Only a message of a write is more than there is credit for.
without_credit(Sent, #{options := Options}) ->
    EventsMax = maps:get(events_max, Options, ?EVENTS_MAX),
    Begins = maps:get(initial, Options, false),
    Before = case Begins of
                 true -> lists:takewhile(fun({_, What, _}) -> What =/= initial_done end, Sent);
                 false -> []
             end,
    [{without_credit, Rev, Unacked} || {Rev, Events, Unacked} <- Sent, is_list(Events),
                                       Unacked >= EventsMax]
        ++ [{without_credit, Rev, Unacked} || {Rev, Events, Unacked} <- Before,
                                              Unacked + length(Events) > EventsMax].

%% Whether what was told are the first of those that are to be told, each with all its changes.
not_first([], _Expected) -> [];
not_first([{Rev, Events} = Told | More], [{Rev, Changes} = Is | Expected]) ->
    case Events -- Changes =:= [] andalso Changes -- Events =:= [] of
        true -> not_first(More, Expected);
        false -> [{told, Told, instead_of, Is}]
    end;
not_first([Told | _], Expected) ->
    [{told, Told, instead_of, lists:sublist(Expected, 1)}].

%%% How it ends

wrong_end(unwatched, _Initial, _Told, _Expected, _Watch, _History) ->
    [];
wrong_end({lost, Rev}, {_, Done} = Initial, Told, Expected, Watch, _History) ->
    #{options := Options} = Watch,
    {Due, Waited} = lists:splitwith(fun({Of, _}) -> Of =< Rev end, Expected),
    IsBefore = maps:get(initial, Options, false) andalso Done =:= none,
    [{lost_at, Rev} || IsBefore, Rev =/= 0]
        ++ [{lost_before_it_was_sent, Rev} || not IsBefore, length(Told) =/= length(Due)]
        ++ [{lost_with_room, Rev} || bytes_at_most(Waited) =< bytes_max(Options)]
        ++ [{lost_with_credit, Rev} || not had_past(Watch),
                                       count(Initial, Told) < events_max(Watch)];
%% More than there is credit for is found by without_credit/2.
wrong_end(no, {_, Done} = Initial, Told, Expected, #{acks := never} = Watch, History) ->
    There = length(there(Watch, History)),
    Left = max(0, events_max(Watch) - There),
    Credited = credited(Expected, Left),
    IsOver = There =< events_max(Watch),
    #{options := Options} = Watch,
    [{missing, initial} || count(Initial, []) < min(There, events_max(Watch))]
        ++ [{missing, initial_done} || maps:get(initial, Options, false), Done =:= none, IsOver]
        ++ [{missing, lists:nthtail(length(Told), lists:sublist(Expected, Credited))}
            || length(Told) < Credited]
        ++ [{missing, lost} || not is_map_key(from, Options),
                        bytes_at_least(lists:nthtail(Credited, Expected)) > bytes_max(Options)];
wrong_end(no, {_, Done}, Told, Expected, #{options := Options}, _History) ->
    [{missing, initial_done} || maps:get(initial, Options, false), Done =:= none]
        ++ [{missing, lists:nthtail(length(Told), Expected)} || length(Told) < length(Expected)].

%% What came before it began waits for the thread that sends, with credit or without.
had_past(#{options := Options}) ->
    is_map_key(from, Options) orelse maps:get(initial, Options, false).

events_max(#{options := Options}) -> maps:get(events_max, Options, ?EVENTS_MAX).

bytes_max(Options) -> maps:get(bytes_max, Options, ?BYTES_MAX).

count({Initial, _}, Told) ->
    lists:sum([length(Events) || {_, Events, _} <- Initial])
        + lists:sum([length(Events) || {_, Events} <- Told]).

%% How many messages are sent to one that acknowledges nothing.
credited([{_, Events} | Expected], Left) when Left > 0 ->
    1 + credited(Expected, Left - length(Events));
credited(_Expected, _Left) ->
    0.

bytes_at_least(Messages) ->
    lists:sum([?EVENT_BYTES * length(Events) || {_, Events} <- Messages]).

%% A value may be held as bytes and as what terms are built of.
bytes_at_most(Messages) ->
    Events = lists:append([Of || {_, Of} <- Messages]),
    lists:sum([1024 + 64 * erlang:external_size(Event) || Event <- Events]).

%%% What is to be told

%% All changes after the revision at which it began, a message for each write.
expected(#{answer := {ok, Begun}, table := Table, what := What, options := Options}, History) ->
    Of = fun(Rev) ->
                 [told(Event, Options) || Event <- changes(Table, Rev, History),
                                          covers(What, element(2, Event))]
         end,
    [{Rev, Events} || Rev <- lists:seq(Begun + 1, max(Begun, newest(History))),
                      Events <- [Of(Rev)], Events =/= []].

told({put, Key, Value, _Old}, Options) when not is_map_key(old, Options);
                                            map_get(old, Options) =:= false -> {put, Key, Value};
told(Event, _Options) -> Event.

changes(Table, Rev, History) ->
    #{Rev := {Why, After}} = History,
    {Old, New} = {content(Table, at(Rev - 1, History)), content(Table, After)},
    [{delete, Key, reason(Why)} || Key <- maps:keys(Old), not is_map_key(Key, New)]
        ++ [{put, Key, Value, held(Key, Old)}
            || {Key, #{value := Value} = Entry} <- maps:to_list(New),
               maps:get(Key, Old, none) =/= Entry].

reason(expired) -> expired;
reason({drop_table, _, _}) -> dropped;
reason(_Write) -> deleted.

held(Key, Content) ->
    case Content of
        #{Key := #{value := Value}} -> {ok, Value};
        #{} -> error
    end.

covers(all, _Key) -> true;
covers({key, Of}, Key) -> Of =:= Key;
covers({prefix, Prefix}, Key) -> ram_model_scan:begins(Key, Prefix);
covers({range, From, To}, Key) -> ram_model_scan:range(From, To, #{Key => #{value => any}}) =/= [].
